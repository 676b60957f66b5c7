"""The article's recipes, published and corrected: from the readings to the page.

The article is "Elixir vs Python for real world AI/ML" (Alembic, 2023, parts 1 and 2).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # no types published

from forebay import metrics
from forebay.archive.store import Archive, open_archive
from forebay.article.faults import baseline_fault, fault_costs
from forebay.article.gauges import Record, dam_from_files, read_record
from forebay.article.recipes import PUBLISHED, PUBLISHED_MAE, corrected, recipe_rows
from forebay.article.results import ArticlePage, Fault, RecipeResult, SameDayScores
from forebay.article.trials import TrainedNet, recipe_result, seed_trials, train_all
from forebay.dams.dam_file import load_dam
from forebay.errors import ConfigError
from forebay.files import write_all
from forebay.jobs.forecast import ForecastResult, forecast_dam
from forebay.nets import backends, export, networks, weights
from forebay.tables import DEFAULT_MODEL
from forebay.verify.hindcast import SEQUENTIAL, Execution, Progress
from forebay.verify.score_tables import compare_scores

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge
    from forebay.dams.weather import Weather
    from forebay.settings import Settings

RECIPES = (*PUBLISHED, "all")
FAULT_SEEDS = 20


@dataclass(frozen=True)
class Choice:
    """What to run: the name of a recipe or "all", the backend of the nets, the number of seeds.

    Raises
    ------
    ConfigError
        If a value is not allowed, or the backend or the ONNX tools are not installed.
    """

    recipe: str = "all"
    backend: str = "jax"
    seeds: int = 5

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ConfigError(f"recipe {self.recipe!r} is unknown; allowed are {', '.join(RECIPES)}")
        if self.seeds < 1:
            raise ConfigError(f"--seeds {self.seeds} is too small; give at least 1")
        backends.check(self.backend)
        export.check_tools()

    @property
    def fault_seeds(self) -> int:
        """Number of seeds for the costs of the faults: at least 20 on jax, where nets are trained together."""
        return max(self.seeds, FAULT_SEEDS) if self.backend == "jax" else self.seeds

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes to run."""
        return tuple(PUBLISHED) if self.recipe == "all" else (self.recipe,)


@dataclass(frozen=True)
class ArticleRun:
    """Result of a run: the content of the page, and every net by the first part of its files' names."""

    page: ArticlePage
    nets: dict[str, TrainedNet]


def read_readings(
    folder: Path | None,
    *,
    settings: Settings,
    now: datetime,
    archive: Archive | None = None,
    progress: Progress | None = None,
) -> Record:
    """Readings of the article's gauges, from the CSV files in `folder` or, without it, from the live service.

    Parameters
    ----------
    archive
        Archive for the fetched readings; files need none.

    Raises
    ------
    ConfigError, SourceError, DataError
        As `gauges.dam_from_files` and `gauges.read_record`.
    """
    dam = dam_from_files(folder) if folder else load_dam("warragamba")

    def report_gauge(gauge: Gauge | Weather, count: int) -> None:
        if progress:
            progress(f"fetch {gauge.title}", count, len(dam.gauges))

    if folder is None:
        if archive is None:
            raise ConfigError("readings from the live service need an archive; give one, or a folder of files")
        return read_record(dam, archive, settings=settings, now=now, progress=report_gauge)
    with tempfile.TemporaryDirectory(prefix="forebay-") as own, open_archive(f"sqlite:///{own}/article.db") as store:
        return read_record(dam, store, settings=settings, now=now, progress=report_gauge)


def run(record: Record, choice: Choice, *, now: datetime, execution: Execution = SEQUENTIAL) -> ArticleRun:
    """Both variants of each recipe, the costs of the faults, and the project's forecast on the same days.

    Raises
    ------
    ConfigError, ModelError, DataError
        If a backend fails, or there are too few readings.
    """
    backends.check(choice.backend)
    with _in_background(record, now, execution) as ended_forecast:
        results, all_nets, faults = _nets_and_faults(record, choice, execution.progress)
        forecast = ended_forecast()
    nets = [seeds[: choice.seeds] for seeds in all_nets]
    hindcast, window = _hindcast_scores(forecast)
    same_days = tuple(_same_day_scores(seeds, forecast) for seeds in nets[1::2])
    page = ArticlePage(
        results,
        PUBLISHED_MAE,
        (*faults, baseline_fault(all_nets[0], hindcast)),
        same_days,
        hindcast,
        window,
        record.dam.licence,
    )
    files = zip(results, nets, strict=True)
    return ArticleRun(page, {f"{result.stem}-seed{net.trial.seed}": net for result, seeds in files for net in seeds})


@contextmanager
def _in_background(record: Record, now: datetime, execution: Execution) -> Iterator[Callable[[], ForecastResult]]:
    """Context in which another thread makes the project's forecast; the function waits for it and returns it.

    Both spend most of their time in compiled code, so that two processors share the work. Numbers do not depend on it:
    matrix products have one thread at all times. The progress is that of the forecast once somebody waits for it.
    """
    import sklearn.linear_model  # noqa: F401  # threadpool_limits sees loaded libraries only

    is_awaited = Event()

    def progress(name: str, count: int, total: int) -> None:
        if execution.progress and is_awaited.is_set():
            execution.progress(name, count, total)

    pool = ThreadPoolExecutor(1)
    with threadpool_limits(1):
        future = pool.submit(
            copy_context().run, partial(forecast_dam, now=now, execution=replace(execution, progress=progress)),
            record.dam, record.daily_tables,
        )  # fmt: skip

        def wait() -> ForecastResult:
            is_awaited.set()
            return future.result()

        try:
            yield wait
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _nets_and_faults(
    record: Record, choice: Choice, progress: Progress | None
) -> tuple[tuple[RecipeResult, ...], list[list[TrainedNet]], list[Fault]]:
    """The results of both variants of each recipe, all of its nets, and the faults with their costs."""

    def step(name: str) -> Callable[[int, int], None]:
        return lambda count, total: progress(name, count, total) if progress else None

    recipes = [recipe for name in choice.recipes for recipe in (PUBLISHED[name], corrected(PUBLISHED[name]))]
    plans = [
        seed_trials(
            recipe,
            recipe_rows(recipe, record.level, record.drivers),
            choice.fault_seeds if recipe.variant == "published" else choice.seeds,
        )
        for recipe in recipes
    ]
    trials = [trial for plan in plans for trial in plan]
    trained = iter(train_all(trials, backend=choice.backend, progress=step("nets")))
    all_nets = [[next(trained) for _ in plan] for plan in plans]
    results = tuple(recipe_result(seeds[: choice.seeds], choice.backend) for seeds in all_nets)
    published = dict(zip(choice.recipes, all_nets[::2], strict=True))
    faults = fault_costs(
        record, published, seeds=choice.fault_seeds, backend=choice.backend, progress=step("cost of each fault")
    )
    return results, all_nets, faults


def _hindcast_scores(forecast: ForecastResult) -> tuple[pl.DataFrame, str]:
    """Scores of the project's forecast by lead, and their window."""
    windows = (window.name for window in forecast.dam.hindcast.windows)
    window = next((name for name in windows if name in forecast.scores["window"]), "all")
    scores = compare_scores(forecast.scores, [(window, "all")])
    return scores.select("lead_time", "n", "mae", "no_change", "last_change", "coverage_90"), window


def _same_day_scores(nets: Sequence[TrainedNet], forecast: ForecastResult) -> SameDayScores:
    """Scores of one recipe's corrected nets and of the hindcast's models, on the test days that both have."""
    trial = nets[0].trial
    test = trial.split.test
    days = pl.DataFrame({
        "init_date": trial.rows.table["date"].gather(test),
        "observed": trial.rows.target()[test],
        **{f"net {net.trial.seed}": net.prediction[test] for net in nets},
    })  # fmt: skip
    samples = forecast.verification.samples
    scored = samples.dates[np.isfinite(samples.change(samples.observed, 1))].astype("datetime64[D]")
    models = (
        forecast.verification.forecasts.filter(pl.col("lead_time") == 1, pl.col("quantile") == 0.5)
        .pivot("model", index="init_date", values="change")
        .drop_nulls()
    )
    joined = days.join(models, on="init_date", how="inner").filter(
        pl.col("init_date").is_in(pl.Series(scored).cast(pl.Date).implode())
    )
    observed = joined["observed"].to_numpy()
    forecasts = {"net": [joined[f"net {net.trial.seed}"].to_numpy() for net in nets]}
    forecasts |= {
        name: [joined[name].to_numpy()] for name in (DEFAULT_MODEL, "no_change", "last_change", "damped_change")
    }
    top = metrics.largest(observed, 0.05)
    return SameDayScores(
        trial.recipe.name,
        len(joined),
        str(joined["init_date"][0]),
        str(joined["init_date"][-1]),
        mae={m: float(np.mean([metrics.mae(f, observed) for f in fs])) for m, fs in forecasts.items()},
        bias={m: float(np.mean([metrics.bias(f, observed) for f in fs])) for m, fs in forecasts.items()},
        top5={m: float(np.mean([metrics.mae(f[top], observed[top]) for f in fs])) for m, fs in forecasts.items()},
    )


def json_rows(results: Sequence[RecipeResult]) -> list[dict[str, object]]:
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
            "baselines": r.baselines,
            "baselines_on": r.baselines_on,
            "baselines_all": None if r.all_row_baselines is None else dict(r.all_row_baselines),
        }
        for r in results
    ]


def text_rows(page: ArticlePage) -> list[dict[str, object]]:
    """The results for the terminal, a row per recipe and variant."""
    return [
        {
            "recipe": r.recipe,
            "variant": r.variant,
            "rows": r.rows,
            "train/validation/test": f"{r.train}/{r.validation}/{r.test}",
            "article": _metres(page.published.get(r.recipe) if r.variant == "published" else None),
            "net": f"{r.mean():.4f} ± {r.deviation():.4f}",
            **{name: _metres(value) for name, value in r.baselines.items()},
        }
        for r in page.results
    ]


def _metres(value: float | None) -> str | None:
    """`value` with four decimals, like those of its column."""
    return None if value is None else f"{value:.4f}"


def write(result: ArticleRun, folder: Path) -> list[Path]:
    """Paths of the files in `folder`: the page, its charts and tables, every net, and the modules that run the nets.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    ModelError
        If a net's ONNX file does not agree with Keras.
    """
    from forebay.article.page import start_pictures, write_page

    pictures = start_pictures(result.page)
    with write_all(folder) as files:
        text = json.dumps(json_rows(result.page.results), indent=1, allow_nan=False)
        (files.stage / "article.json").write_text(text, "utf-8")
        for recipe in result.page.results:
            for name, table in (("history", recipe.history), ("prediction", recipe.predictions)):
                table.write_csv(files.stage / f"{recipe.stem}-{name}.csv")
                table.write_parquet(files.stage / f"{recipe.stem}-{name}.parquet")
        _write_nets(result, files.stage)
        write_page(result.page, files.stage, pictures)
    return files.paths


def _write_nets(result: ArticleRun, folder: Path) -> None:
    contents = networks.keras_files([net.network for net in result.nets.values()])
    for (stem, net), content in zip(result.nets.items(), contents, strict=True):
        networks.write(net.network, content, folder / f"{stem}.keras")
    exports = [(net.network, net.trial.rows.inputs(), folder / f"{stem}.onnx") for stem, net in result.nets.items()]
    export.write_all(exports, contents)
    weights.write_modules(folder)
