"""The global model: inputs without a unit and without a look-ahead, other dams alone, vintages, and its file."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.dams.dam_content import dam_content, dam_of_content
from forebay.dams.dam_file import load_dam
from forebay.dams.global_model import (
    TITLE,
    GlobalModel,
    GlobalModelFile,
    global_model_text,
    named_model,
    read_global_model,
)
from forebay.dams.local_time import init_time
from forebay.errors import ConfigError, ModelError
from forebay.features.global_rows import global_rows, inputs_of_span, known_dates
from forebay.features.samples import Samples, make_samples
from forebay.features.scale_free import DAY, GLOBAL, RESERVE, SCALE, _bounded
from forebay.jobs import global_model as job
from forebay.jobs.export import export
from forebay.jobs.global_model import global_model_of, train_global_model
from forebay.models import GLOBAL_MODEL, global_trees, models_for
from forebay.models.blend import blend
from forebay.models.global_trees import GlobalTrees, design, grow, input_names, training_arrays, vintage
from forebay.verify.default import with_default
from forebay.verify.hindcast import forecast_changes, point_forecasts
from tests.command_line import forebay
from tests.synthetic import FIRST_DAY, daily_frame, rain_gauge, random_rain, small_dam, write_dam

DAYS = 1200
CURVE = [[80.0 + k, 10.0 * k**2] for k in range(41)]
UNTIL = FIRST_DAY + timedelta(days=900)


def lake(name: str = "small", *, factor: float = 1.0, unit: str = "m", **keys: object) -> Dam:
    """A dam with rain and an inflow, whose level is `factor` times that of factor 1, in `unit`."""
    curve = {"level_unit": unit, "storage_unit": "ML", "source": "test"}
    return small_dam(
        rain_gauge(),
        {"role": "inflow", "station": "i", "variable": "inflow", "unit": "m3/s"},
        unit=unit,
        id=name,
        full_supply=100.0 * factor,
        storage_curves=[curve | {"points": [(level * factor, storage) for level, storage in CURVE]}],
        hindcast={"leads": (1, 3, 7), "near_full_margin": 0.5 * factor},
        **keys,
    )


def frame_of(dam: Dam, *, factor: float = 1.0, seed: int = 5, days: int = DAYS) -> pl.DataFrame:
    """A lake that rises after rain and falls on all days, with an inflow that follows the rain."""
    rain = random_rain(days, seed)
    flow = np.convolve(rain, 0.6 ** np.arange(8))[:days]
    noise = np.random.default_rng(seed).normal(0, 0.01, days)
    changes = 0.004 * np.concatenate([[0.0], flow[:-1]]) + noise
    level = 95.3 + np.cumsum(changes - changes.mean())
    columns = {"reservoir_level": (level * factor).tolist(), "rainfall_r1": rain.tolist(), "inflow_i": flow.tolist()}
    return daily_frame(dam, columns)


def samples_of(dam: Dam, frame: pl.DataFrame) -> Samples:
    return make_samples(frame, frame, dam)


def whole(dam: Dam, frame: pl.DataFrame) -> pl.DataFrame:
    """The scale-free inputs of a record."""
    return inputs_of_span(samples_of(dam, frame), dam, 0, len(frame))


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_trees, "ROUNDS", 8)
    for module in (global_trees, job):
        monkeypatch.setattr(module, "MIN_ROWS", 300)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Training rows of three dams."""
    tables = []
    for seed, name in enumerate(("a", "b", "c")):
        dam = lake(name)
        tables.append(global_rows(samples_of(dam, frame_of(dam, seed=seed)), dam, seed=seed, count=1500))
    return pl.concat(tables)


def model_file(model: GlobalModel, folder: Path) -> GlobalModelFile:
    path = folder / "model.txt"
    path.write_text(global_model_text(model))
    return named_model(path)


def model_of(rows: pl.DataFrame, *days: date) -> GlobalModel:
    return GlobalModel(input_names(rows), (), tuple(vintage(rows, day) for day in days))


@pytest.mark.parametrize(("factor", "unit"), [(3.0, "m"), (1 / 0.3048, "ft")])
def test_inputs_do_not_depend_on_the_unit_of_the_level(factor: float, unit: str) -> None:
    plain, scaled = lake(), lake(factor=factor, unit=unit)
    expected, inputs = whole(plain, frame_of(plain)), whole(scaled, frame_of(scaled, factor=factor))
    np.testing.assert_allclose(inputs[SCALE], expected[SCALE] * factor, rtol=1e-9)
    bare = [name for name in inputs.columns if name != SCALE]
    assert_frame_equal(inputs.select(bare), expected.select(bare), rel_tol=1e-6, abs_tol=1e-6)
    known = expected.select(bare).cast(pl.Float64).fill_nan(None)
    empty = {name.removeprefix(GLOBAL) for name in bare if known[name].null_count() == DAYS}
    assert empty == {"degree_days", "out_rank", "out_rise", "balance_release", "balance_release_10d", "net_now"}
    filled = known.select(name for name in bare if name.removeprefix(GLOBAL) not in empty)
    assert filled.drop_nulls().height > DAYS / 2, "most days have every other input"


def test_a_forecast_has_the_unit_of_the_level(rows: pl.DataFrame, tmp_path: Path) -> None:
    file = model_file(model_of(rows, FIRST_DAY + timedelta(days=400)), tmp_path)
    plain, scaled = lake(), lake(factor=3.0)
    expected = GlobalTrees(3, file).predict(whole(plain, frame_of(plain)))
    changes = GlobalTrees(3, file).predict(whole(scaled, frame_of(scaled, factor=3.0)))
    same = np.isclose(changes, 3 * expected, rtol=1e-6)
    assert same.mean() > 0.995, "only a value at the edge of a bin may fall on its other side"
    assert np.abs(expected[400:]).min() >= 0 < np.abs(expected[400:]).max()


@pytest.mark.parametrize("day", [40, 200, 501, 777])
def test_no_input_depends_on_a_later_day(day: int) -> None:
    dam = lake()
    frame = frame_of(dam)
    later = pl.int_range(len(frame)) > day
    columns = ("reservoir_level", "rainfall_r1", "inflow_i")
    noise = pl.Series(np.random.default_rng(1).uniform(0.5, 1.5, len(frame)))
    changed = frame.with_columns(pl.when(later).then(pl.col(name) * noise).otherwise(pl.col(name)) for name in columns)
    expected = whole(dam, frame).head(day + 1)
    assert_frame_equal(whole(dam, changed).head(day + 1), expected, check_exact=True)
    assert_frame_equal(whole(dam, frame.head(day + 1)), expected, check_exact=True)


def test_statistics_are_those_of_the_record_alone() -> None:
    dam = lake()
    frame = frame_of(dam)
    alone = whole(dam, frame[400:800])
    of_span = inputs_of_span(samples_of(dam, frame), dam, 400, 800)
    assert np.isnan(of_span[SCALE].to_numpy()[:9]).all()
    assert np.isfinite(of_span[SCALE].to_numpy()[9:]).all()
    np.testing.assert_allclose(of_span[SCALE][100:], alone[SCALE][100:], rtol=0.05)


def test_the_forecast_of_a_dam_learns_nothing_from_it(rows: pl.DataFrame) -> None:
    absurd = rows.with_columns(change=pl.when(pl.col("dam") == "b").then(1000.0).otherwise("change"))
    without = vintage(absurd, UNTIL, without="b")
    assert without.dams == ("a", "c")
    assert without.trees == vintage(rows.filter(pl.col("dam") != "b"), UNTIL).trees
    assert without.trees != vintage(absurd, UNTIL).trees


def test_a_vintage_learns_from_changes_that_ended_before_its_day(rows: pl.DataFrame) -> None:
    late = rows.with_columns(change=pl.when(pl.col("valid_date") >= UNTIL).then(1000.0).otherwise("change"))
    assert vintage(late, UNTIL).trees == vintage(rows, UNTIL).trees
    last = rows.with_columns(
        change=pl.when(pl.col("valid_date") == UNTIL - timedelta(days=1)).then(1000.0).otherwise("change")
    )
    assert vintage(last, UNTIL).trees != vintage(rows, UNTIL).trees


@pytest.mark.parametrize("latency_h", [0, 9, 31, 72])
@pytest.mark.parametrize("time_zone", ["-12:00", "-06:00", "+10:00", "+14:00", "America/Chicago"])
def test_a_change_is_known_to_all_places_when_its_level_is_available(time_zone: str, latency_h: int) -> None:
    """A vintage of a day may be in use when the day ends at UTC+14; other dams' data must be available by then."""
    gauges = lake().gauges
    target = gauges[0].model_copy(update={"latency_h": latency_h})
    assert target.role == "target"
    dam = lake().model_copy(update={"time_zone": time_zone, "gauges": (target, *gauges[1:])})
    days = pl.DataFrame({"valid_date": [date(2021, 3, 13) + timedelta(days=k) for k in range(0, 260, 7)]})
    for valid, known in days.with_columns(known_dates(dam)).rows():
        available = init_time(valid, time_zone) + timedelta(hours=latency_h)
        assert valid < known and available <= init_time(known, "+14:00")
        earlier = known - timedelta(days=1)
        assert earlier == valid or available > init_time(earlier, "+14:00"), "the first such day"


def test_a_late_level_is_learned_by_a_later_vintage(rows: pl.DataFrame) -> None:
    dam = lake("late")
    target = dam.gauges[0].model_copy(update={"latency_h": 24.0 * 30})
    dam = dam.model_copy(update={"gauges": (target, *dam.gauges[1:])})
    late = global_rows(samples_of(dam, frame_of(dam, seed=9)), dam, count=1500)
    both = vintage(pl.concat([rows, late]), UNTIL)
    # A day in the zone +10:00 ends 4 hours after the same day at +14:00.
    known = late.filter(pl.col("valid_date") < UNTIL - timedelta(days=29))
    assert both.rows - vintage(rows, UNTIL).rows == len(known) < len(late.filter(pl.col("valid_date") < UNTIL))


def test_a_row_without_a_last_change_teaches_nothing(rows: pl.DataFrame) -> None:
    """Its part of the change beyond the dam's own persistence is unknown."""
    own = [name for name in rows.columns if name.startswith(f"{GLOBAL}own_")]
    is_unknown = pl.int_range(pl.len()) % 7 == 0
    unknown = pl.when(is_unknown).then(float("nan"))
    partly = rows.with_columns(unknown.otherwise(name).alias(name) for name in own)
    assert grow(partly, input_names(rows)) == grow(partly.filter(~is_unknown), input_names(rows))
    assert all(map(np.isfinite, (labels := training_arrays(partly)[1]))) and len(labels) < len(rows)


def test_a_row_has_the_change_of_its_own_lead_time() -> None:
    dam = lake()
    samples = samples_of(dam, frame_of(dam))
    drawn = global_rows(samples, dam, count=400)
    level = dict(zip(samples.dates.tolist(), samples.trusted, strict=True))
    assert set(drawn["lead_time"]) == {1, 3, 7}
    for lead, valid, scale, change, number in drawn.select("lead_time", "valid_date", SCALE, "change", DAY).rows():
        start = valid - timedelta(days=lead)
        assert (start - date(1970, 1, 1)).days == number
        assert change * scale == pytest.approx(level[valid] - level[start])


def test_no_vintage_depends_on_what_any_dam_was_like_later() -> None:
    """From the daily tables of all dams to the trees: other readings after a day change later vintages only."""
    day = date(UNTIL.year, 1, 1)
    later = pl.col("date") >= day

    def model(factor: float) -> GlobalModel:
        tables = []
        for seed, name in enumerate(("a", "b")):
            dam = lake(name)
            change = pl.when(later).then(factor * pl.col("rainfall_r1")).otherwise(pl.col("rainfall_r1"))
            rise = pl.when(later).then(factor).otherwise(0.0) * pl.int_range(pl.len()) % 1.3
            frame = frame_of(dam, seed=seed).with_columns(
                rainfall_r1=change, reservoir_level=pl.col("reservoir_level") + rise
            )
            tables.append(global_rows(samples_of(dam, frame), dam, count=10**6))  # all: a draw depends on their number
        return global_model_of(pl.concat(tables), ())

    first, second = model(1.0), model(3.0)
    days = [v.until for v in first.vintages]
    assert days == [v.until for v in second.vintages] and min(days) < day < max(days)
    is_same = [one.trees == other.trees for one, other in zip(first.vintages, second.vintages, strict=True)]
    assert is_same == [until <= day for until in days]


def test_every_vintage_of_a_model_is_that_of_its_own_day(rows: pl.DataFrame) -> None:
    model = global_model_of(rows, ())
    assert len(model.vintages) > 2
    for each in model.vintages:
        assert each == vintage(rows, each.until)
        known = rows.filter(pl.col("valid_date") < each.until)
        assert each.rows == len(known), "the zones of these dams lie in the same day, and no level is late"


def test_a_day_has_the_newest_vintage_that_was_known(rows: pl.DataFrame, tmp_path: Path) -> None:
    days = [FIRST_DAY + timedelta(days=k) for k in (500, 900)]
    both = GlobalTrees(3, model_file(model_of(rows, *days), tmp_path))
    inputs = whole(lake(), frame_of(lake()))
    for number, day in enumerate(days):
        (tmp_path / str(number)).mkdir()
        alone = GlobalTrees(3, model_file(model_of(rows, day), tmp_path / str(number))).predict(inputs)
        span = slice(500, 900) if number == 0 else slice(900, DAYS)
        np.testing.assert_array_equal(both.predict(inputs)[span], alone[span])
    own = design(inputs, np.full(DAYS, 3.0))[1] * inputs[SCALE].to_numpy()
    np.testing.assert_array_equal(both.predict(inputs)[:500], np.nan_to_num(own[:500]))
    assert not np.array_equal(both.predict(inputs)[500:520], own[500:520])


def test_an_absurd_reading_has_a_bounded_effect() -> None:
    values = np.array([1.0, -2.0, 1.5, 900.0, 3.0])
    np.testing.assert_array_equal(_bounded(values), [1.0, -2.0, 1.5, 2 * RESERVE, 3.0])


def test_default_blends_the_model_that_the_dam_names(rows: pl.DataFrame, tmp_path: Path) -> None:
    dam, frame = lake(), frame_of(lake(), days=300)
    named = dam.model_copy(update={"global_model": model_file(model_of(rows, UNTIL), tmp_path)})
    assert GLOBAL_MODEL not in models_for(dam)
    plain, samples = samples_of(dam, frame), samples_of(named, frame)
    assert not [name for name in plain.inputs.columns if name.startswith(GLOBAL)]
    points = point_forecasts(samples, named, models_for(named))
    local = point_forecasts(plain, dam, models_for(dam))
    for name, point in local.items():
        for lead, changes in point.changes.items():
            np.testing.assert_array_equal(points[name].changes[lead], changes, err_msg="no other model uses its inputs")
    blended = with_default(points, samples)
    assert GLOBAL_MODEL in blended["default"].weights[3]
    assert forecast_changes(samples, blended).by_model["default"].shape == (300, 3, 7)


def test_the_row_of_a_day_is_the_same_when_the_record_ends_on_it(rows: pl.DataFrame, tmp_path: Path) -> None:
    """A live forecast equals its row of a hindcast, before and after the first vintage."""
    days = [FIRST_DAY + timedelta(days=k) for k in (250, 300)]
    named = lake().model_copy(update={"global_model": model_file(model_of(rows, *days), tmp_path)})
    frame = frame_of(named, days=310)

    def forecasts(end: int) -> np.ndarray:
        """Changes of `default` and of the member, shape (2, days, leads, quantiles)."""
        samples = samples_of(named, frame.head(end))
        blended = with_default(point_forecasts(samples, named, models_for(named)), samples)
        changes = forecast_changes(samples, blended).by_model
        return np.stack([changes["default"], changes[GLOBAL_MODEL]])

    hindcast = forecasts(310)
    for end in (245, 270):
        assert np.isfinite(hindcast[:, end - 1]).all()
        np.testing.assert_array_equal(forecasts(end)[:, -1], hindcast[:, end - 1])


def test_the_first_weight_falls_after_two_years() -> None:
    forecasts = {GLOBAL_MODEL: np.zeros(740), "no_change": np.zeros(740)}
    weights = blend(forecasts, np.full(740, np.nan), lead_time=1)[1][GLOBAL_MODEL]
    np.testing.assert_allclose(weights[:730], 50 / 51)
    np.testing.assert_allclose(weights[730:], 10 / 11)


def test_simulated_outages_have_the_inputs_too(rows: pl.DataFrame, tmp_path: Path) -> None:
    named = lake().model_copy(update={"global_model": model_file(model_of(rows, UNTIL), tmp_path)})
    frame = frame_of(named, days=400)
    gap = pl.int_range(len(frame)).is_between(350, 355)
    frame = frame.with_columns(reservoir_level=pl.when(~gap).then("reservoir_level"))
    samples = samples_of(named, frame)
    assert samples.outages is not None
    simulated = samples.outages.simulated["level"]
    assert simulated.inputs.columns == samples.inputs.columns
    assert simulated.inputs[SCALE].equals(samples.inputs[SCALE])


def _cut(text: str) -> str:
    return text[:-40]


def _without_key(text: str) -> str:
    title, head, trees = text.split("\n", 2)
    return f"{title}\n{json.dumps({k: v for k, v in json.loads(head).items() if k != 'inputs'})}\n{trees}"


def _in_any_order(text: str) -> str:
    title, head, trees = text.split("\n", 2)
    fields = json.loads(head)
    fields["vintages"] = fields["vintages"][::-1]
    return f"{title}\n{json.dumps(fields)}\n{trees}"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: "", "does not begin with"),
        (lambda _: "cposix\nsystem\n(S'touch owned'\ntR.", "does not begin with"),
        (lambda _: TITLE, "cannot be used"),
        (lambda _: f"{TITLE}\n[1]\n", "cannot be used"),
        (lambda _: f"{TITLE}\n{'[' * 100_000}\n", "cannot be used"),
        (_cut, "its trees have changed"),
        (lambda text: text.replace("split_gain", "split_gone", 1), "its trees have changed"),
        (_without_key, "key 'inputs' is missing"),
        (_in_any_order, "does not come after"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_refused_in_one_sentence(
    rows: pl.DataFrame, tmp_path: Path, spoil: Callable[[str], str], reason: str
) -> None:
    path = tmp_path / "model.txt"
    days = [FIRST_DAY + timedelta(days=k) for k in (500, 900)]
    path.write_text(spoil(global_model_text(model_of(rows, *days))))
    with pytest.raises(ConfigError, match=reason) as caught:
        named_model(path)
    assert "forebay fleet train" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "other"),
    [
        (r"num_leaves=\d+", "num_leaves=3000000"),
        (r"num_leaves=\d+", "num_leaves=-5"),
        (r"split_feature=\d+", "split_feature=99"),
        (r"left_child=\d+", "left_child=5"),
        (r"left_child=\d+", "left_child=0"),
        (r"num_cat=0", "num_cat=7"),
        (r"decision_type=\d+", "decision_type=1"),
        (r"threshold=[^ ]+", "threshold=x"),
        (r"leaf_value=[^ ]+ ", "leaf_value="),
        (r"num_class=1", "num_class=2"),
        (r"Tree=1\n", "Tree=2\n"),
        (r"internal_count", "internal_cound"),
        (r"end of trees\n", ""),
        (r"(?s)Tree=3.*", ""),
        (r"(?s).*", ""),
    ],
)  # fmt: skip
def test_damaged_trees_with_a_right_digest_are_refused(
    rows: pl.DataFrame, tmp_path: Path, pattern: str, other: str
) -> None:
    model = model_of(rows, UNTIL)
    trees = re.sub(pattern, other, model.vintages[0].trees, count=1)
    assert trees != model.vintages[0].trees
    sizes = " ".join(str(len(tree)) for tree in re.split(r"^(?=Tree=)", trees, flags=re.MULTILINE)[1:])
    trees = re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", trees)
    file = model_file(replace(model, vintages=(replace(model.vintages[0], trees=trees),)), tmp_path)
    with pytest.raises(ConfigError, match="the trees is damaged in"):
        GlobalTrees(1, file).predict(whole(lake(), frame_of(lake())))


def test_a_split_between_missing_values_and_all_others_is_read(rows: pl.DataFrame, tmp_path: Path) -> None:
    rain = f"{GLOBAL}rain_3d"
    is_missing = pl.col("dam") == "b"
    partly = rows.with_columns(
        pl.when(is_missing).then(float("nan")).otherwise(rain).alias(rain),
        change=pl.when(is_missing).then(50.0).otherwise("change"),
    )
    model = model_of(partly, UNTIL)
    assert re.search(r"^threshold=(.* )?inf", model.vintages[0].trees, flags=re.MULTILINE)
    inputs = whole(lake(), frame_of(lake())).with_columns(pl.lit(float("nan")).alias(rain))
    changes = GlobalTrees(3, model_file(model, tmp_path)).predict(inputs) / inputs[SCALE].to_numpy()
    assert np.median(changes[900:]) > 5.0


def test_a_missing_file_and_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        named_model(tmp_path / "none.txt")
    (tmp_path / "bytes").write_bytes(b"\x80\x04\x95")
    with pytest.raises(ConfigError, match="is not text"):
        named_model(tmp_path / "bytes")


def test_a_file_reads_as_it_was_written(rows: pl.DataFrame, tmp_path: Path) -> None:
    model = replace(model_of(rows, UNTIL), licences=(("a", "CC BY 4.0"),))
    assert read_global_model(model_file(model, tmp_path)) == model


def test_another_file_at_the_same_path_is_refused(rows: pl.DataFrame, tmp_path: Path) -> None:
    first = model_file(model_of(rows, UNTIL), tmp_path)
    model_file(model_of(rows, UNTIL + timedelta(days=30)), tmp_path)
    with pytest.raises(ConfigError, match="is another global model"):
        GlobalTrees(1, first).predict(whole(lake(), frame_of(lake(), days=50)))


def test_a_model_of_other_inputs_is_refused(rows: pl.DataFrame, tmp_path: Path) -> None:
    other = replace(model_of(rows, UNTIL), inputs=("rain",))
    with pytest.raises(ConfigError, match="inputs of another forebay"):
        GlobalTrees(1, model_file(other, tmp_path)).predict(whole(lake(), frame_of(lake(), days=50)))


def test_a_recorded_dam_names_the_same_model(rows: pl.DataFrame, tmp_path: Path) -> None:
    named = lake().model_copy(update={"global_model": model_file(model_of(rows, UNTIL), tmp_path)})
    content = json.loads(json.dumps(dam_content(named)))
    assert dam_of_content(content).global_model == named.global_model


def test_an_export_of_such_a_default_is_refused(rows: pl.DataFrame, tmp_path: Path) -> None:
    named = lake().model_copy(update={"global_model": model_file(model_of(rows, UNTIL), tmp_path)})
    with pytest.raises(ConfigError, match="global_model"):
        export(named)


def test_vintages_begin_with_enough_dams(rows: pl.DataFrame) -> None:
    late = rows.filter((pl.col("dam") == "a") | (pl.col("valid_date") >= UNTIL))
    model = global_model_of(late, ())
    assert model.vintages[0].until > UNTIL
    assert model.vintages[-1].until == rows["valid_date"].max() + timedelta(days=1)
    assert all(v.until == date(v.until.year, 1, 1) for v in model.vintages[:-1])
    with pytest.raises(ModelError, match="needs 2 dams"):
        global_model_of(rows.filter(pl.col("dam") == "a"), ())


def test_the_command_writes_a_model_that_a_dam_file_names(tmp_path: Path) -> None:
    paths = []
    for seed, name in enumerate(("a", "b", "c")):
        dam = small_dam(rain_gauge(), id=name)
        (tmp_path / name).mkdir()
        paths.append(write_dam(dam, frame_of(dam, seed=seed, days=500), tmp_path / name))
    archive = f"sqlite:///{tmp_path}/archive.db"
    for path in paths:
        assert forebay("fetch", str(path), "--archive", archive).code == 0
    output = tmp_path / "c" / "model.txt"
    names = [str(tmp_path / "a"), *map(str, paths[1:])]
    outcome = forebay("fleet", "train", *names, "--without", "c", "-o", str(output), "--archive", archive, "--json")
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out)
    assert list(content["licences"]) == ["a", "b"]
    assert {dam for v in content["vintages"] for dam in v["dams"]} == {"a", "b"}
    paths[2].write_text('global_model = "model.txt"\n' + paths[2].read_text())
    assert load_dam(str(paths[2])).global_model == named_model(output)
    paths[2].write_text(paths[2].read_text().replace("model.txt", "none.txt"))
    with pytest.raises(ConfigError, match=r"none\.txt cannot be read"):
        load_dam(str(paths[2]))


@pytest.mark.parametrize(
    ("dams", "without", "reason"),
    [(["demo"], [], "at least 2 dams, not from 1"), (["demo", "demo"], [], "given twice"),
     (["demo", "warragamba"], ["x"], "--without x"), (["demo", "warragamba"], ["demo"], "not from 1")],
)  # fmt: skip
def test_dams_that_are_too_few_are_refused(dams: list[str], without: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        train_global_model(dams, without=without)


def test_vintages_need_a_distance_of_a_year() -> None:
    with pytest.raises(ConfigError, match="every 0 is not possible"):
        train_global_model(["demo"], every=0)


def test_two_dam_files_of_one_lake_are_refused(tmp_path: Path) -> None:
    """Else a dam that is left out would be learned from under its other name."""
    path = write_dam(lake("a"), frame_of(lake("a"), days=60), tmp_path)
    copy = tmp_path / "copy.toml"
    copy.write_text(path.read_text().replace('id = "a"', 'id = "b"'))
    with pytest.raises(ConfigError, match="dams a and b have the same target gauge") as caught:
        train_global_model([path, copy, "demo"], without=["a"])
    assert "\n" not in str(caught.value)


# --- the benchmark of the documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["short", "long"])
def test_a_dam_is_judged_on_a_model_of_other_dams_and_earlier_days(
    part: str, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    import global_model as benchmark

    path = write_dam(lake("b"), frame_of(lake("b"), seed=1, days=1100), tmp_path)
    judged = list[tuple[GlobalModel, Samples]]()

    def both(samples: Samples, dam: Dam, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert dam.global_model is not None
        judged.append((read_global_model(dam.global_model), samples))
        return []

    monkeypatch.setattr(benchmark, "both", both)
    if part == "short":
        early = rows.with_columns(pl.col("valid_date", "known_date").dt.offset_by("-2y"))
        assert not list(benchmark.short_records(path, early, None, tmp_path, records=1))
    else:
        assert not list(benchmark.long_record(path, rows, None, tmp_path, years=100, with_intervals=False))
    ((model, samples),) = judged
    assert {dam for each in model.vintages for dam in each.dams} == {"a", "c"}
    if part == "short":
        first: date = samples.dates[0].item()
        assert [each.until for each in model.vintages] == [date(first.year, 1, 1)]
        assert len(samples.dates) == 730 + 7
