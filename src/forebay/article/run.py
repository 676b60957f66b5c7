"""The article's recipes side by side, as published and as corrected: one call from the readings to the page.

The article is "Elixir vs Python for real world AI/ML" (Alembic, 2023, parts 1 and 2).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from forebay import metrics
from forebay.archive.store import Archive, open_archive
from forebay.article import faults as article_faults
from forebay.article.gauges import Record, dam_of_files, gather
from forebay.article.recipes import PUBLISHED, PUBLISHED_MAE, corrected, rows_of
from forebay.article.results import Result, SameDays, Story
from forebay.article.trials import Tried, result, trials, try_all
from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError
from forebay.files import write_all
from forebay.jobs.forecast import ForecastResult, forecast_dam
from forebay.nets import backends, export, networks
from forebay.settings import Settings
from forebay.verify.hindcast import SEQUENTIAL, Execution
from forebay.verify.score_tables import SUMMARY_LEADS

RECIPES = (*PUBLISHED, "all")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much is done, and how much there is."""


@dataclass(frozen=True)
class Choice:
    """What to run: a recipe's name or "all", the backend of the nets, and how many seeds.

    Raises
    ------
    ConfigError
        If one of them is not allowed, or the backend or the ONNX tools are not installed.
    """

    recipe: str = "all"
    backend: str = "jax"
    seeds: int = 5

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ConfigError(f"recipe {self.recipe!r} is not known; allowed are {', '.join(RECIPES)}")
        if self.seeds < 1:
            raise ConfigError(f"{self.seeds} seeds are too few; give at least 1 with --seeds")
        backends.check(self.backend)
        export.check_tools()

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes to run."""
        return tuple(PUBLISHED) if self.recipe == "all" else (self.recipe,)


@dataclass(frozen=True)
class Told:
    """What a run made: the page's story, and every net by the stem of its files' names."""

    story: Story
    nets: dict[str, Tried]


def read(
    folder: Path | None, *, settings: Settings, now: datetime, archive: Archive | None = None,
    progress: Progress | None = None,
) -> Record:  # fmt: skip
    """The readings of the article's gauges, from the CSV files in `folder` or, without one, from the live service.

    Parameters
    ----------
    archive
        Where fetched readings are kept; files need none.

    Raises
    ------
    ConfigError, SourceError, DataError
        As `article_gauges.dam_of_files` and `article_gauges.gather`.
    """
    dam = dam_of_files(folder) if folder else load_dam("warragamba")
    told = (lambda gauge, done: progress(f"fetch {gauge.title}", done, len(dam.gauges))) if progress else None
    if folder is None:
        if archive is None:
            raise ConfigError("readings from the live service need an archive; give one, or a folder of files")
        return gather(dam, archive, settings=settings, now=now, progress=told)
    with tempfile.TemporaryDirectory(prefix="forebay-") as own, open_archive(f"sqlite:///{own}/article.db") as held:
        return gather(dam, held, settings=settings, now=now, progress=told)


def run(
    record: Record, choice: Choice, *, now: datetime, execution: Execution = SEQUENTIAL
) -> Told:
    """Both versions of each recipe, the faults weighed, and the project's own forecast on the same days.

    Raises
    ------
    ConfigError, ModelError, DataError
        If a backend fails, or the readings do not suffice.
    """

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: execution.progress(what, done, total) if execution.progress else None

    chosen = [recipe for name in choice.recipes for recipe in (PUBLISHED[name], corrected(PUBLISHED[name]))]
    planned = [trials(one, rows_of(one, record.level, record.drivers), choice.seeds) for one in chosen]
    every = [trial for plan in planned for trial in plan]
    made = iter(try_all(every, backend=choice.backend, told=told("nets")))
    tried = [[next(made) for _ in plan] for plan in planned]
    results = tuple(result(nets, choice.backend) for nets in tried)
    published = {name: nets for name, nets in zip(choice.recipes, tried[::2], strict=True)}
    faults = article_faults.weigh(
        record, published, seeds=choice.seeds, backend=choice.backend, told=told("what each fault costs")
    )
    outcome = forecast_dam(record.dam, record.days, now=now, execution=execution)
    own, window = _own(outcome)
    faults.append(article_faults.baseline_fault(results, own))
    same = tuple(_same_days(nets, outcome) for nets in tried[1::2])
    story = Story(results, PUBLISHED_MAE, tuple(faults), same, own, window, record.dam.licence)
    nets = {f"{r.stem}-seed{net.trial.seed}": net for r, of in zip(results, tried, strict=True) for net in of}
    return Told(story, nets)


def _own(outcome: ForecastResult) -> tuple[pl.DataFrame, str]:
    """Scores of the project's own forecast by lead, and the window that they are of."""
    scores = outcome.scores.filter(pl.col("regime") == "all", pl.col("lead_time").is_in(SUMMARY_LEADS))
    window = next((w.name for w in outcome.dam.hindcast.windows if w.name in scores["window"]), "all")
    own = scores.filter(pl.col("window") == window)

    def of(model: str, metric: str, name: str) -> pl.DataFrame:
        rows = own.filter(pl.col("model") == model, pl.col("metric") == metric)
        return rows.select("lead_time", pl.col("value").alias(name), pl.col("n").alias(f"n_{name}"))

    table = of("default", "mae", "mae")
    for model, metric, name in (
        ("no_change", "mae", "no_change"),
        ("last_change", "mae", "last_change"),
        ("default", "coverage_90", "coverage_90"),
    ):
        table = table.join(of(model, metric, name).drop(f"n_{name}"), on="lead_time", how="left")
    return table.rename({"n_mae": "n"}).sort("lead_time"), window


def _same_days(nets: Sequence[Tried], outcome: ForecastResult) -> SameDays:
    """The corrected nets of one recipe beside the hindcast's models, on the test days that the hindcast is scored "
    "on."""
    trial = nets[0].trial
    test = trial.split.test
    days = pl.DataFrame({
        "init_date": trial.rows.table["date"].gather(test),
        "observed": trial.rows.target()[test],
        **{f"net {net.trial.seed}": net.prediction[test] for net in nets},
    })  # fmt: skip
    samples = outcome.verification.samples
    scored = samples.dates[np.isfinite(samples.change(samples.observed, 1))].astype("datetime64[D]")
    models = (
        outcome.verification.forecasts.filter(pl.col("lead_time") == 1, pl.col("quantile") == 0.5)
        .pivot("model", index="init_date", values="change")
        .drop_nulls()
    )
    joined = days.join(models, on="init_date", how="inner").filter(
        pl.col("init_date").is_in(pl.Series(scored).cast(pl.Date).implode())
    )
    seen = joined["observed"].to_numpy()
    named = ("default", "no_change", "last_change", "damped_change")
    forecasts = {"net": [joined[f"net {net.trial.seed}"].to_numpy() for net in nets]}
    forecasts |= {name: [joined[name].to_numpy()] for name in named}
    top = metrics.largest(seen, 0.05)
    first, last = (str(_day(joined["init_date"], row)) for row in (0, -1))
    return SameDays(
        trial.recipe.name, len(joined), first, last,
        mae={name: float(np.mean([metrics.mae(f, seen) for f in of])) for name, of in forecasts.items()},
        bias={name: float(np.mean([metrics.bias(f, seen) for f in of])) for name, of in forecasts.items()},
        top5={name: float(np.mean([metrics.mae(f[top], seen[top]) for f in of])) for name, of in forecasts.items()},
    )  # fmt: skip


def _day(days: pl.Series, row: int) -> date:
    day: date = days[row]
    return day


def listed(results: Sequence[Result]) -> list[dict[str, object]]:
    """The results for machines, an object per recipe and variant; MAE in metres."""
    return [
        {
            "recipe": r.recipe,
            "variant": r.variant,
            "backend": r.backend,
            "epochs": r.epochs,
            "rows": r.rows,
            "train": r.train,
            "validation": r.validation,
            "test": r.test,
            "seeds": len(r.mae),
            "mae_mean": r.mean(),
            "mae_sd": r.deviation(),
            "baselines": dict(r.baselines),
            "baselines_on": r.baselines_on,
            "baselines_test": dict(r.baselines_test),
        }
        for r in results
    ]


def rows(story: Story) -> list[dict[str, object]]:
    """The results for the terminal, a row per recipe and variant."""
    return [
        {
            "recipe": r.recipe,
            "variant": r.variant,
            "rows": r.rows,
            "train/validation/test": f"{r.train}/{r.validation}/{r.test}",
            "article": story.published.get(r.recipe) if r.variant == "published" else None,
            "net": f"{r.mean():.4f} ± {r.deviation():.4f}",
            **{name: round(value, 4) for name, value in r.baselines.items()},
        }
        for r in story.results
    ]


def write(told: Told, folder: Path) -> list[Path]:
    """The page, its charts and tables, and every net as `.keras` and ONNX in `folder`; gives their paths.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    ModelError
        If a net's ONNX file does not agree with Keras.
    """
    from forebay.article.page import write_page

    with write_all(folder) as files:
        write_page(told.story, files.stage)
        text = json.dumps(listed(told.story.results), indent=1, allow_nan=False)
        (files.stage / "article.json").write_text(text, "utf-8")
        for one in told.story.results:
            for name, table in (("history", one.history), ("prediction", one.predictions)):
                table.write_csv(files.stage / f"{one.stem}-{name}.csv")
                table.write_parquet(files.stage / f"{one.stem}-{name}.parquet")
        _write_nets(told, files.stage)
    return files.paths


def _write_nets(told: Told, folder: Path) -> None:
    for stem, tried in told.nets.items():
        networks.save(tried.network, folder / f"{stem}.keras")
    export.write_all([(t.network, t.trial.rows.inputs(), folder / f"{s}.onnx") for s, t in told.nets.items()])
