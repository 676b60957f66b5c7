"""A hindcast that continues the rows of an earlier one is equal to the last bit to one that computes every day."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.features.known_ahead import known_ahead, perfect_rain
from forebay.features.samples import NOT_BY_DAY, Samples, make_samples
from forebay.models import FLOW_MODELS, MODELS, stages
from forebay.models.monotone import SCENARIO_MODELS
from forebay.verify import known_rain, row_store, verification
from forebay.verify.hindcast import SEQUENTIAL, Execution, refit_days
from forebay.verify.known_rain import KnownRain, known_rain_hindcast
from forebay.verify.row_store import RowStore
from forebay.verify.verification import Verification, verify_hindcast
from tests import synthetic
from tests.csv_tables import daily_from_files
from tests.disks import small_disk
from tests.shared import PROJECT, needs_shared
from tests.test_no_look_ahead import DAMS, FEW_MODELS, NEW_YEAR, NO_LEVEL, RISE, daily_with_events, with_two_leads
from tests.test_truncation import World, worlds

LAKE = with_two_leads(DAMS["a river alone"])
"""With full supply, outages of level and drivers, a spike and a step (`daily_with_events`)."""
RECENT, EARLY = 20, (30, 90, 150)
"""Instead of `RECENT_DAYS`, and of the days that are learned apart: a record of a year is long enough."""
YESTERDAY = 420


@pytest.fixture(autouse=True)
def _short_records(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Short records are continued, too, and with few models, except for the tests with real records."""
    if "real" in request.node.name:
        return
    shorten(monkeypatch)
    monkeypatch.setattr(verification, "models_for", lambda dam: FEW_MODELS)


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "RECENT_DAYS", RECENT)
    for name, days in zip(("MANY_ROWS", "EARLY_DAYS", "EARLY_UNTIL"), EARLY, strict=True):
        monkeypatch.setattr(stages, name, days)
    monkeypatch.setattr(row_store, "EARLY_UNTIL", EARLY[2])


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    return RowStore(tmp_path / "hindcasts", 10**9)


def run(
    frame: pl.DataFrame, dam: Dam, execution: Execution = SEQUENTIAL, issues: pl.DataFrame | None = None
) -> Verification:
    return verify_hindcast(make_samples(frame, frame, dam, issues), dam, frame, execution=execution)


@cache
def lake_frame() -> pl.DataFrame:
    return daily_with_events(LAKE)


def run_lake(end: int, store: RowStore | None = None, frame: pl.DataFrame | None = None) -> Verification:
    """The hindcast of the lake up to day number `end`, that of `frame` or of its own record."""
    return run((lake_frame() if frame is None else frame).head(end + 1), LAKE, Execution(hindcasts=store))


def parts(value: object, name: str = "hindcast") -> Iterator[tuple[str, object]]:
    """Every array, table and number of a verification but the fitted models, with its scores and diagnostics."""
    if isinstance(value, Verification):
        tables = {part: getattr(value, part) for part in ("scores", "forecasts", "newest", "diagnostics")}
        yield from parts(tables, name)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from parts(inner, f"{name}.{key}")
    elif isinstance(value, tuple):
        for number, inner in enumerate(value):
            yield from parts(inner, f"{name}.{number}")
    elif is_dataclass(value) and not isinstance(value, Dam):
        for item in fields(value):
            if item.name != "fitted":
                yield from parts(getattr(value, item.name), f"{name}.{item.name}")
    else:
        yield name, value


def assert_same(continued: Verification | KnownRain, computed: Verification | KnownRain) -> None:
    """Fail if anything differs in any bit."""
    for (name, first), (other_name, second) in zip(parts(continued), parts(computed), strict=True):
        assert name == other_name
        if isinstance(first, np.ndarray):
            assert isinstance(second, np.ndarray)
            np.testing.assert_array_equal(first, second, err_msg=name)
            assert first.dtype == second.dtype, name
        elif isinstance(first, pl.DataFrame):
            assert isinstance(second, pl.DataFrame)
            assert first.equals(second), name
        elif isinstance(first, float) and np.isnan(first):
            assert isinstance(second, float), name
            assert np.isnan(second), name
        else:
            assert first == second, name


def first_of(store: RowStore, samples: Samples, dam: Dam = LAKE, kind: str = "") -> int:
    """Index of the first day that a hindcast with this store computes."""
    return store.rows(samples, dam, kind).first


# --- the next day ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yesterday", "today"),
    [
        (YESTERDAY, YESTERDAY + 1),  # an ordinary day
        (NEW_YEAR - 1, NEW_YEAR),  # 1 January: every model is fitted again
        (NEW_YEAR + 30, NEW_YEAR + 31),  # the first of a month: intervals are learned again
        (NO_LEVEL - 15, NO_LEVEL - 14),  # the first day of the first outage of the level
        (300, YESTERDAY),  # the program did not run for four months
    ],
)
def test_a_longer_record_continues_the_rows(store: RowStore, yesterday: int, today: int) -> None:
    run_lake(yesterday, store)
    after = run_lake(today)
    if today != NO_LEVEL - 14:  # a new kind of outage changes what is computed on every day
        assert first_of(store, after.samples) == yesterday + 1 - RECENT
    assert_same(run_lake(today, store), after)


def test_each_day_of_a_month_continues_the_day_before(store: RowStore) -> None:
    for end in range(YESTERDAY, YESTERDAY + 6):
        continued = run_lake(end, store)
    assert_same(continued, run_lake(end))
    assert first_of(store, continued.samples) == end + 1 - RECENT


def test_only_the_last_fits_and_recent_days_are_computed(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run_lake(YESTERDAY, store)
    spans, kinds = [], []
    span, quantiles = verification.hindcast._forecast_span, verification.hindcast.quantile_changes
    monkeypatch.setattr(
        verification.hindcast, "_forecast_span", lambda *arguments: (spans.append(arguments[2]), span(*arguments))[1]
    )

    def count_days(*arguments: object, **options: object) -> dict[str, np.ndarray]:
        result = quantiles(*arguments, **options)  # type: ignore[arg-type]  # passed on
        kinds.extend(len(changes) for changes in result.values())
        return result

    monkeypatch.setattr(verification.hindcast, "quantile_changes", count_days)
    samples = run_lake(YESTERDAY + 1, store).samples
    assert set(spans) == {(refit_days(samples.dates, 1)[-1], YESTERDAY + 2)}
    assert set(kinds) == {RECENT + 1 + max(LAKE.hindcast.leads)}


def test_a_short_record_is_computed_whole(store: RowStore) -> None:
    run_lake(EARLY[2], store)
    assert not store.folder.exists()
    assert_same(run_lake(EARLY[2] + 1, store), run_lake(EARLY[2] + 1))


# --- what changes the rows ------------------------------------------------------------------------------------------


def revised(day: int) -> pl.DataFrame:
    """The lake's record with another flow on one day."""
    flow = LAKE.columns("stream")[0]
    return lake_frame().with_columns(pl.when(pl.int_range(pl.len()) == day).then(9.9).otherwise(flow).alias(flow))


@pytest.mark.parametrize(("day", "first"), [(YESTERDAY - 5, YESTERDAY + 1 - RECENT), (380, NEW_YEAR), (200, 0)])
def test_a_revision_computes_the_days_from_the_last_state_before_it(store: RowStore, day: int, first: int) -> None:
    run_lake(YESTERDAY, store)
    after = run_lake(YESTERDAY + 1, frame=revised(day))
    assert first_of(store, after.samples) == first
    assert_same(run_lake(YESTERDAY + 1, store, revised(day)), after)


def test_a_revision_of_an_old_level_changes_its_scores_only(store: RowStore) -> None:
    """Forecasts use the first version; they are verified against the newest one."""
    before = run_lake(YESTERDAY, store)
    frame, level = lake_frame().head(YESTERDAY + 1), LAKE.target_gauge.column
    value = pl.when(pl.int_range(pl.len()) == 380).then(pl.col(level) + 0.1).otherwise(level)
    newest = frame.with_columns(value.alias(level))
    samples = make_samples(frame, newest, LAKE)
    continued = verify_hindcast(samples, LAKE, frame, execution=Execution(hindcasts=store))
    computed = verify_hindcast(samples, LAKE, frame)
    assert_same(continued, computed)
    assert continued.forecasts.equals(before.forecasts)
    assert not np.array_equal(continued.crps["default"][1], before.crps["default"][1], equal_nan=True)


def test_an_earlier_init_date_uses_the_rows_and_leaves_them(store: RowStore) -> None:
    samples = run_lake(YESTERDAY, store).samples
    assert_same(run_lake(NEW_YEAR + 30, store), run_lake(NEW_YEAR + 30))
    assert first_of(store, samples) == YESTERDAY + 1 - RECENT, "the longer entry stays"


def test_another_dam_file_and_another_version_have_rows_of_their_own(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = run_lake(YESTERDAY, store).samples
    higher = LAKE.model_copy(update={"full_supply": synthetic.small_dam(full_supply=98.0).full_supply})
    assert first_of(store, samples, higher) == 0
    again = run(lake_frame().head(YESTERDAY + 2), higher, Execution(hindcasts=store))
    assert_same(again, run(lake_frame().head(YESTERDAY + 2), higher))
    assert first_of(store, samples) > 0, "both have an entry"
    monkeypatch.setattr(row_store, "environment_digest", lambda names: b"new version")
    assert first_of(store, samples) == 0


def test_every_field_of_samples_that_has_days_counts(store: RowStore) -> None:
    samples = run_lake(YESTERDAY, store).samples
    leads, last = LAKE.hindcast.leads, len(samples.dates) - 1
    before = row_store.row_digests(samples.columns_by_day(leads))
    for item in fields(Samples):
        value = getattr(samples, item.name)
        if item.name in NOT_BY_DAY or value is None or not len(value if hasattr(value, "__len__") else [0]):
            continue
        changed = replace(samples, **{item.name: _with_another_last_day(value)})
        after = row_store.row_digests(changed.columns_by_day(leads))
        different = np.flatnonzero((before != after).any(axis=1))
        assert len(different), item.name
        assert item.name in ("observed", "possible") or different.tolist() == [last], item.name


def _another_value(one: np.ndarray) -> np.ndarray:
    """An array of one value, other than the value of `one`."""
    if one.dtype == bool:
        return ~one
    if one.dtype.kind == "M":
        return one + np.timedelta64(1, "D")
    return one + 1 if np.isfinite(one[0]) else np.zeros(1)


def _with_another_last_day(value: object) -> object:
    """`value` with another value on the last day, in its first part."""
    if isinstance(value, np.ndarray):
        return np.append(value[:-1], _another_value(value[-1:]))
    if isinstance(value, pl.DataFrame):
        return value.with_columns(pl.Series(value.columns[0], [*value.to_series(0).to_list()[:-1], 77.0], strict=False))
    if isinstance(value, tuple) and not isinstance(value[0], np.ndarray):
        return (value[0] - 1, *value[1:])
    if isinstance(value, tuple):
        return (_with_another_last_day(value[0]), *value[1:])
    if isinstance(value, dict):
        first = next(iter(value))
        return value | {first: _with_another_last_day(value[first])}
    first = fields(value)[0].name  # type: ignore[arg-type]  # a dataclass
    return replace(value, **{first: _with_another_last_day(getattr(value, first))})  # type: ignore[type-var]


# --- the folder -----------------------------------------------------------------------------------------------------


def entry_of(store: RowStore) -> Path:
    (path,) = store.folder.glob("??/*")
    return path


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:5000] + b"xx" + b[5002:]])
def test_a_damaged_entry_is_computed_again(store: RowStore, damage: Callable[[bytes], bytes]) -> None:
    run_lake(YESTERDAY, store)
    path = entry_of(store)
    path.write_bytes(damage(path.read_bytes()))
    after = run_lake(YESTERDAY + 1, store)
    assert_same(after, run_lake(YESTERDAY + 1))
    assert first_of(store, after.samples) > 0, "a new entry replaces it"


def _run_in_process(folder: Path, end: int, barrier: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        patch.setattr(verification, "models_for", lambda dam: FEW_MODELS)
        barrier.wait()  # type: ignore[attr-defined]
        run_lake(end, RowStore(folder, 10**9))


@pytest.mark.slow
def test_two_processes_at_once_leave_a_whole_entry(store: RowStore) -> None:
    run_lake(YESTERDAY, store)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    ends = (YESTERDAY + 1, YESTERDAY + 2)
    processes = [context.Process(target=_run_in_process, args=(store.folder, end, barrier)) for end in ends]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_same(run_lake(YESTERDAY + 3, store), run_lake(YESTERDAY + 3))
    assert not list(store.folder.rglob(".unfinished*"))


def test_a_full_disk_stores_nothing_and_changes_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 100_000) as folder:
        store = RowStore(folder / "hindcasts", 10**9)
        result = run_lake(YESTERDAY, store)
        assert not list(folder.rglob("*.npz"))
    assert_same(result, run_lake(YESTERDAY))


def test_the_oldest_entries_beyond_the_limit_are_deleted(store: RowStore) -> None:
    samples = run_lake(YESTERDAY, store).samples
    size = entry_of(store).stat().st_size
    small = RowStore(store.folder, size + size // 2)
    higher = LAKE.model_copy(update={"full_supply": synthetic.small_dam(full_supply=98.0).full_supply})
    higher_samples = run(lake_frame().head(YESTERDAY + 1), higher, Execution(hindcasts=small)).samples
    assert first_of(store, samples) == 0
    assert first_of(store, higher_samples, higher) > 0


# --- any record, and real ones --------------------------------------------------------------------------------------


@pytest.mark.slow
@given(world=worlds(), number=st.integers(0, 10**6), is_revised=st.booleans())
@settings(max_examples=25)
def test_any_record_that_grows_or_is_revised_has_the_same_hindcast(
    tmp_path_factory: pytest.TempPathFactory, world: World, number: int, is_revised: bool
) -> None:
    store = RowStore(tmp_path_factory.mktemp("rows"), 10**9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "models_for", lambda dam: MODELS | FLOW_MODELS)
        days = len(world.frame)
        before = world.until(days - 1 - number % 60)
        frame = before.frame
        if is_revised:
            column, day = world.dam.gauges[number % len(world.dam.gauges)].column, number % len(frame)
            value = pl.when(pl.int_range(pl.len()) == day).then(pl.col(column) * 1.01).otherwise(pl.col(column))
            frame = frame.with_columns(value.alias(column))
        run(frame, world.dam, Execution(hindcasts=store), before.issues)
        continued = run(world.frame, world.dam, Execution(hindcasts=store), world.issues)
        assert_same(continued, run(world.frame, world.dam, issues=world.issues))


# --- the hindcast with known rain -----------------------------------------------------------------------------------

RAIN_LAKE = with_two_leads(DAMS["snow, evaporation, a dam upstream, a curve"])


@cache
def rain_lake_frame() -> pl.DataFrame:
    return daily_with_events(RAIN_LAKE)


def with_rain_of(frame: pl.DataFrame, store: RowStore | None) -> tuple[KnownRain, Dam]:
    """The hindcast with known rain of a daily table, and the dam of scenarios."""
    latest = max(RAIN_LAKE.hindcast.leads)
    dam, issues = known_ahead(usable_values(frame, RAIN_LAKE), RAIN_LAKE, latest, planned_release=False)
    samples = make_samples(frame, frame, dam, issues)
    return known_rain_hindcast(samples, dam, execution=Execution(hindcasts=store)), dam


@pytest.mark.parametrize(
    "today",
    [
        YESTERDAY + 1,
        NEW_YEAR,  # 1 January: every model is fitted again
        NEW_YEAR + 31,  # the first of a month
        RISE + 24,  # weeks after the largest rise, with corrections of quiet days in earlier rows
    ],
)
def test_known_rain_continues_the_rows_of_the_day_before(
    store: RowStore, monkeypatch: pytest.MonkeyPatch, today: int
) -> None:
    """The rain of the coming days, which is known one day later for the day before, changes no older row."""
    few = {name: SCENARIO_MODELS[name] for name in FEW_MODELS}
    monkeypatch.setattr(known_rain, "scenario_models", lambda dam, planned_release: few)
    with_rain_of(rain_lake_frame().head(today), store)
    continued, dam = with_rain_of(rain_lake_frame().head(today + 1), store)
    assert_same(continued, with_rain_of(rain_lake_frame().head(today + 1), None)[0])
    assert first_of(store, continued.samples, dam, known_rain.ROWS_OF) == today + 1 - RECENT


def test_a_hindcast_of_perfect_rain_takes_no_rows_of_scenarios(store: RowStore) -> None:
    """Both have the same dam and the same samples, but other models."""
    newest = usable_values(rain_lake_frame(), RAIN_LAKE)
    perfect, _ = perfect_rain(newest, RAIN_LAKE, 2)
    scenario, _ = known_ahead(newest, RAIN_LAKE, 2, planned_release=False)
    assert perfect == scenario
    assert store.path(perfect) != store.path(scenario, known_rain.ROWS_OF)


REAL = {"warragamba": (4719, 4720, 5067), "canyon": (3654, 3655, 3000)}
"""Dam → numbers of days of records that are forecast one after the other."""


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_real_record_is_continued_to_the_last_bit(name: str, store: RowStore, execution: Execution) -> None:
    dam = load_dam(str(PROJECT / "tests" / "dams" / f"{name}.toml"))
    frame = daily_from_files(dam)
    first = frame.filter(pl.col(dam.target_gauge.column).is_not_null())["date"][0]
    frame = frame.filter(pl.col("date") >= first)
    for days in REAL[name]:
        continued = run(frame.head(days), dam, replace(execution, hindcasts=store))
        assert_same(continued, run(frame.head(days), dam, execution))
    assert first_of(store, continued.samples, dam) > 0
