"""The hindcast job: how good the forecasts would have been, from what the archive holds, without fetching anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl

from forebay.dams.dam import Dam
from forebay.days.daily import usable_values
from forebay.errors import ModelError
from forebay.features.daily_tables import DailyTables
from forebay.features.forcings import perfect_rain
from forebay.features.inputs import with_late_drivers
from forebay.features.samples import Samples, make_samples
from forebay.files import write_all
from forebay.jobs.forecast import parquet
from forebay.models import REFERENCES
from forebay.tables import FORECASTS, SCORES
from forebay.verify.hindcast import SEQUENTIAL, Execution
from forebay.verify.point_forecasts import DEFAULT
from forebay.verify.verification import Verification, verify_hindcast

ON_TIME = "on_time"
"""Name of the hindcast as it is; the others are `AGAIN`."""
_FIRST_LEADS = (1, 3, 7)
_SUMMARY = ("top 5%", "pinball", "crps", "in 80%", "in 90%", "above 95%", "events")
_METRICS = ("mae_top5", "pinball", "crps", "coverage_80", "coverage_90", "above_95", "events")


def review(
    dam: Dam, days: DailyTables, *, again: Sequence[str] = (), execution: Execution = SEQUENTIAL
) -> dict[str, Verification]:
    """Hindcasts by name: `on_time`, and those of `AGAIN` that are asked for.

    All are scored on the same days and in the same regimes, those of the hindcast on time.
    """
    samples = make_samples(days.known, days.newest, dam, days.forcings)
    made = {ON_TIME: verify_hindcast(samples, dam, days.known, execution=execution)}
    for name in again:
        other, its = AGAIN[name][1](dam, days)
        known = replace(
            samples, inputs=other.inputs, ahead=other.ahead, regimes=other.regimes, outages=other.outages
        )
        made[name] = verify_hindcast(known, its, days.known, regimes=samples.regimes, execution=execution)
    return made


def _late_drivers(dam: Dam, days: DailyTables) -> tuple[Samples, Dam]:
    late = with_late_drivers(dam)
    forcings = days.forcings.with_columns(pl.col("known_time") + timedelta(days=1))
    return make_samples(days.known, days.newest, late, forcings), late


def _screens_for_codes(dam: Dam, days: DailyTables) -> tuple[Samples, Dam]:
    """What the dam file excludes from verification is no more known to inputs than a code set weeks later is.

    Nothing is silent then: a level that is marked as unavailable has a number too, if garbage.
    """
    if days.uncoded is None:
        raise ModelError("the daily frames without the agencies' codes were not read; call add_uncoded first")
    naive = dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"verification_exclude": ()})})
    return replace(make_samples(*days.uncoded, naive, days.forcings), outages=None), dam


def _perfect_rain(dam: Dam, days: DailyTables) -> tuple[Samples, Dam]:
    fed, told = perfect_rain(usable_values(days.newest, dam), dam, max(dam.hindcast.leads))
    return make_samples(days.known, days.newest, fed, pl.concat([days.forcings, told])), fed


AGAIN: dict[str, tuple[str, Callable[[Dam, DailyTables], tuple[Samples, Dam]]]] = {
    "late_drivers": ("with every driver known a day later", _late_drivers),
    "screens_for_codes": ("with quality codes ignored in the inputs and only our own screen", _screens_for_codes),
    "perfect_rain": ("with rain that nobody could know: an upper bound, not a forecast", _perfect_rain),
}
"""Hindcasts made again with other inputs: name → in words, and what gives their samples and the dam they are of."""


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


def cost_rows(made: Mapping[str, Verification], name: str, dam: Dam) -> list[dict[str, object]]:
    """A row per window, kind of day and lead: MAE of `default` as it is and in the hindcast `name`, and the cost."""
    as_it_is, again = (score_rows(made[which].scores, dam) for which in (ON_TIME, name))
    keys = ("window", "days", "lead")
    of_again = {tuple(row[k] for k in keys): row for row in again}
    rows: list[dict[str, object]] = []
    for row in as_it_is:
        other = of_again.get(tuple(row[k] for k in keys))
        if other is None:
            continue
        mae, then = row["mae"], other["mae"]
        assert isinstance(mae, float) and isinstance(then, float)
        rows.append(
            {k: row[k] for k in (*keys, "n", "mae")}
            | {"mae then": then, "cost": f"{100 * (then / mae - 1):+.1f}%" if mae > 0 else None}
            | {"in 90% then": other["in 90%"], "skill then": other["skill"]}
        )
    return rows


def write_review(made: Mapping[str, Verification], dam: Dam, folder: Path) -> list[Path]:
    """Scores, forecasts, diagnostics and their charts in `folder`; gives their paths.

    The on-time hindcast's files are named as `forebay run` names them; those of another carry its name at their end.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    from forebay.charts import drawing
    from forebay.charts.diagnostics import diagnostic_charts
    from forebay.charts.formats import TargetFormat
    from forebay.charts.spec import file_spec
    from forebay.charts.style import Heading

    heading = Heading(dam.name, TargetFormat(dam).axis, dam.simulated)
    with write_all(folder) as files:
        for name, verified in made.items():
            tail = "" if name == ON_TIME else f"_{name}"
            SCORES.check(verified.scores).write_csv(files.stage / f"scores{tail}.csv")
            (files.stage / f"hindcast{tail}.parquet").write_bytes(parquet(FORECASTS.check(verified.forecasts)))
            for table, rows in verified.diagnostics.by_name().items():
                rows.write_csv(files.stage / f"{table}{tail}.csv")
        pictures = diagnostic_charts(made[ON_TIME].diagnostics, heading).by_file(heading)
        drawings = drawing.start((name, file_spec(chart)) for name, chart in pictures.items())
        drawing.write(drawings, files.stage)
    return files.paths
