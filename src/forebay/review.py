"""The hindcast job: how good the forecasts would have been, from what the archive holds, without fetching anything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from forebay.dams.dam import Dam
from forebay.models import REFERENCES
from forebay.models.fits import Fits
from forebay.pipeline import Days, Verified, parquet, unwritable, verify
from forebay.prepare.features import with_late_drivers
from forebay.prepare.samples import make_samples
from forebay.tables import FORECASTS, SCORES
from forebay.verify.hindcast import DEFAULT, Progress

ON_TIME, LATE_DRIVERS = "on_time", "late_drivers"
"""Names of the hindcasts. One with causal screens in place of the agencies' codes is to come with the screens."""
_FIRST_LEADS = (1, 3, 7)
_SUMMARY = ("top 5%", "pinball", "crps", "in 80%", "in 90%", "above 95%", "events")
_METRICS = ("mae_top5", "pinball", "crps", "coverage_80", "coverage_90", "above_95", "events")


def review(
    dam: Dam, days: Days, *, late_drivers: bool = False, fits: Fits | None = None, progress: Progress | None = None
) -> dict[str, Verified]:
    """Hindcasts by name: `on_time`, and with `late_drivers` the same again with every driver known a day later.

    Both are scored on the same days and in the same regimes, those known with the drivers on time. `fits` as in
    `hindcast.point_forecasts`.
    """
    samples = make_samples(days.known, days.newest, dam)
    made = {ON_TIME: verify(samples, dam, days, fits=fits, progress=progress)}
    if late_drivers:
        late = with_late_drivers(dam)
        delayed = make_samples(days.known, days.newest, late)
        made[LATE_DRIVERS] = verify(delayed, late, days, regimes=samples.regimes, fits=fits, progress=progress)
    return made


def score_rows(scores: pl.DataFrame, dam: Dam) -> list[dict[str, object]]:
    """A row per window, kind of day and shown lead: n, MAE of `default` and of the best reference, skill with its band.

    Beside them: MAE of the 5% largest rises, pinball, CRPS, coverage of the 80% and 90% intervals, share above the .95
    quantile, and the number of independent events among the largest rises. Years are left out.
    """
    leads = [lead for lead in _FIRST_LEADS if lead in dam.hindcast.leads] or list(dam.hindcast.leads[:3])
    shown = scores.filter(pl.col("lead_time").is_in(leads), ~pl.col("regime").str.contains(r"^y\d{4}$"))
    rows: list[dict[str, object]] = []
    for (window, regime, lead), cell in shown.group_by("window", "regime", "lead_time", maintain_order=True):
        value = {(m, k): (v, low, high, n) for m, k, v, low, high, n in cell.select(
            "model", "metric", "value", "low", "high", "n").iter_rows()}  # fmt: skip
        mae, _, _, n = value.get((DEFAULT, "mae"), (None, None, None, 0))
        if mae is None:
            continue
        best = min((r for r in REFERENCES if (r, "mae") in value), key=lambda r: value[r, "mae"][0], default=None)
        skill, low, high, _ = value.get((DEFAULT, "skill_best"), (None, None, None, 0))
        rows.append(
            {"window": window, "days": regime, "lead": f"{lead} d", "n": n, "mae": mae, "best reference": best}
            | {"its mae": value[best, "mae"][0] if best else None, "skill": skill}
            | {"90% band": None if low is None else f"{low:.2f} … {high:.2f}"}
            | {name: value.get((DEFAULT, m), (None,))[0] for name, m in zip(_SUMMARY, _METRICS, strict=True)}
        )
    order = {name: k for k, name in enumerate(dict.fromkeys(str(row["window"]) for row in rows))}
    kinds = {name: k for k, name in enumerate(dict.fromkeys(str(row["days"]) for row in rows))}
    return sorted(rows, key=lambda row: (order[str(row["window"])], kinds[str(row["days"])]))


def late_rows(made: Mapping[str, Verified], dam: Dam) -> list[dict[str, object]]:
    """A row per window, kind of day and lead: MAE of `default` with drivers on time and a day late, and the cost."""
    on_time, late = (score_rows(made[name].scores, dam) for name in (ON_TIME, LATE_DRIVERS))
    keys = ("window", "days", "lead")
    of_late = {tuple(row[k] for k in keys): row for row in late}
    rows: list[dict[str, object]] = []
    for row in on_time:
        other = of_late.get(tuple(row[k] for k in keys))
        if other is None:
            continue
        mae, later = row["mae"], other["mae"]
        assert isinstance(mae, float) and isinstance(later, float)
        rows.append(
            {k: row[k] for k in (*keys, "n", "mae")}
            | {"mae late": later, "cost": f"{100 * (later / mae - 1):+.1f}%" if mae > 0 else None}
            | {"in 90% late": other["in 90%"], "skill late": other["skill"]}
        )
    return rows


def write_review(made: Mapping[str, Verified], dam: Dam, folder: Path) -> list[Path]:
    """Scores, forecasts, diagnostics and their charts in `folder`; gives their paths.

    The on-time hindcast's files are named as `forebay run` names them; those of another carry its name at their end.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    from forebay.show import charts, diagnostics, report, sections

    heading = charts.Heading(dam.name, sections.Wording(dam).axis, dam.simulated)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            stage = Path(unfinished)
            for name, verified in made.items():
                tail = "" if name == ON_TIME else f"_{name}"
                SCORES.check(verified.scores).write_csv(stage / f"scores{tail}.csv")
                (stage / f"hindcast{tail}.parquet").write_bytes(parquet(FORECASTS.check(verified.forecasts)))
                for table, rows in verified.diagnostics.by_name().items():
                    rows.write_csv(stage / f"{table}{tail}.csv")
            drawn = diagnostics.pictures(made[ON_TIME].diagnostics, heading).whole(heading)
            report.write_pictures({name: charts.for_file(chart) for name, chart in drawn.items()}, stage)
            written = sorted(path for path in stage.iterdir() if path.is_file())
            for path in written:
                os.replace(path, folder / path.name)
    except OSError as error:
        raise unwritable(folder, error) from None
    return [folder / path.name for path in written]
