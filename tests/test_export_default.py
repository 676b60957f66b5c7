"""`forebay export`: the model `default` as plain numbers equals the program, in real Elixir and Node."""

import json
import re
import subprocess
from dataclasses import replace
from datetime import date
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import usable_values
from forebay.errors import ConfigError, DataError, ModelError
from forebay.features.daily_tables import DailyTables
from forebay.features.inputs import build_inputs
from forebay.features.samples import make_samples
from forebay.forecasts.input_notes import input_notes
from forebay.forecasts.plain_default import plain_day
from forebay.forecasts.plain_reader import member_change, member_spread, plain_forecast
from forebay.jobs import export as job
from forebay.jobs.export import Export, export_dam, write_export
from forebay.models import FLOW_MODELS, FORECAST_MODELS, MODELS
from forebay.models.blend import blend, weights_by_kind
from forebay.models.boosting import Trees
from forebay.models.fits import Fits
from forebay.models.model import PredictsSpread
from forebay.models.plain import plain_model
from forebay.models.rows import Rows
from forebay.tables import DEFAULT_MODEL
from forebay.verify.hindcast import Execution
from forebay.verify.learned import exportable_days
from forebay.verify.verification import verify_hindcast
from tests import synthetic
from tests.command_line import forebay
from tests.csv_tables import daily_from_files
from tests.programs import need_program, run_program
from tests.scenario_dams import NO_VOLUME_DAM, RAIN_DAM, RELEASE_DAM, frame_of
from tests.shared import PROJECT, needs_shared
from tests.test_docs import blocks
from tests.test_inflow_ahead import GATES, world

PAGE = PROJECT / "docs" / "export.md"
TOLERANCE, NEAR = 1e-6, 1e-9
COMMANDS = {"elixir": ("elixir", "elixir"), "js": ("node", "nodejs")}
"""Language → its program and the Debian package of it."""
LANGUAGES = {"elixir": ("exs", "terms"), "js": ("mjs", "json")}
RAINLESS_DAM = RELEASE_DAM.model_copy(
    update={"gauges": tuple(gauge for gauge in RELEASE_DAM.gauges if gauge.role != "rainfall")}
)
PLAIN_DAM = RAIN_DAM.model_copy(update={"full_supply": None, "thresholds": ()})
DAMS = {
    "a release and a storage curve": RELEASE_DAM,
    "no full supply": PLAIN_DAM,
    "rain and full supply": RAIN_DAM,
    "a release without a curve": NO_VOLUME_DAM,
    "no rain": RAINLESS_DAM,
}
OUTAGE, NO_LEVEL = (400, 401, 760, 761, 762, 781, 790), (450, 451, 770, 771, 780, 781, 782)
"""Days without drivers, and days without a level."""
REAL_DAYS = [("warragamba", "2021-12-31"), ("canyon", ""), ("jackson_lake", ""), ("kabini", "")]
"""Dam and last day; Kabini has a suspect level among the last days."""
RELEASE = "a release and a storage curve"
CASES = [pytest.param(name, marks=() if k < 2 else pytest.mark.slow) for k, name in enumerate(DAMS)]


def tables_with_gaps(dam: Dam) -> DailyTables:
    """The simulated record without some values of its second driver, any driver on some days, and two levels."""
    frame = frame_of(dam)
    hidden = np.random.default_rng(2).random(len(frame)) < 0.1
    outage = np.isin(np.arange(len(frame)), OUTAGE)
    drivers = [gauge.column for gauge in dam.gauges if gauge.role != "target"]
    for number, column in enumerate(drivers):
        shown = pl.Series(~(outage | hidden if number else outage))
        frame = frame.with_columns(pl.when(shown).then(column).alias(column))
    no_level = pl.Series(np.isin(np.arange(len(frame)), NO_LEVEL))
    target = dam.target_gauge.column
    frame = frame.with_columns(pl.when(~no_level).then(target).alias(target))
    return DailyTables(frame, frame, frame["date"][-1], None)


@pytest.fixture(scope="module")
def execution(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """With a store, so that each model is fitted once."""
    return Execution(Fits(tmp_path_factory.mktemp("fits"), 10**9))


_EXPORTED: dict[str, Export] = {}


def exported(name: str, execution: Execution) -> Export:
    """The last 60 days of a simulated dam."""
    if name not in _EXPORTED:
        _EXPORTED[name] = export_dam(DAMS[name], tables_with_gaps(DAMS[name]), days=60, execution=execution)
    return _EXPORTED[name]


def program_levels(
    dam: Dam, tables: DailyTables, days: int, execution: Execution
) -> dict[tuple[str, int], list[float]]:
    """Init date and lead time → quantiles of the level of `default`, from a hindcast of all models."""
    samples = make_samples(tables.known, tables.newest, dam, tables.forcings)
    verification = verify_hindcast(samples, dam, tables.known, execution=execution)
    rows = verification.last_forecasts(days).filter(pl.col("model") == DEFAULT_MODEL).sort("quantile")
    groups = rows.group_by("init_date", "lead_time", maintain_order=True).agg("level")
    return {(str(day), lead): levels for day, lead, levels in groups.iter_rows()}


def run_reader(language: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program of docs/export.md on the files in `folder`, in one process for all days."""
    suffix, data = LANGUAGES[language]
    command, package = COMMANDS[language]
    need_program(command, package)
    (program,) = blocks(PAGE, language)
    (folder / f"forecast.{suffix}").write_text(program, "utf-8")
    return run_program(command, f"forecast.{suffix}", f"default.{data}", f"days.{data}", cwd=folder)


def reader_levels(language: str, folder: Path) -> dict[tuple[str, int], list[float]]:
    """As `program_levels`, by the program of docs/export.md."""
    process = run_reader(language, folder)
    assert (process.returncode, process.stderr) == (0, "")
    lines = [line.split(",") for line in process.stdout.splitlines()]
    return {(day, int(lead)): [float(level) for level in levels] for day, lead, *levels in lines}


def largest_difference(first: dict[tuple[str, int], list[float]], second: dict[tuple[str, int], list[float]]) -> float:
    """Over the days and lead times of `first`."""
    return max(float(np.abs(np.subtract(first[key], second[key])).max()) for key in first)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(("name", "init"), REAL_DAYS)
def test_elixir_and_node_forecast_as_the_program_on_100_days_of_a_real_dam(
    name: str, init: str, tmp_path: Path, execution: Execution
) -> None:
    dam = load_dam(str(PROJECT / "tests" / "dams" / f"{name}.toml"))
    frame = daily_from_files(dam)
    frame = frame.filter(pl.col("date") <= date.fromisoformat(init)) if init else frame
    tables = DailyTables(frame, frame, frame["date"][-1], None)
    write_export(export_dam(dam, tables, days=100, execution=execution), tmp_path)
    expected = program_levels(dam, tables, 130, execution)
    for language in LANGUAGES:
        levels = reader_levels(language, tmp_path)
        assert len(levels) == 100 * len(dam.hindcast.leads)
        assert all(len(of_day) == 7 for of_day in levels.values())
        assert largest_difference(levels, expected) <= TOLERANCE, language
    assert np.ptp([levels[3] for levels in expected.values()]) > 1000 * TOLERANCE  # the days differ


@pytest.mark.parametrize("name", CASES)
def test_the_plain_numbers_equal_the_hindcast(name: str, execution: Execution) -> None:
    result = exported(name, execution)
    assert len(result.days) == 60
    ages = [(one["day"]["level_age"], one["day"]["drivers_age"]) for one in result.days]
    outages = [(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (1, 0), (2, 1), (3, 0), (0, 1)]
    assert [age for age in ages if age != (0, 0)] == outages
    expected = program_levels(result.dam, tables_with_gaps(result.dam), 60, execution)
    model = json.loads(json.dumps(result.model, allow_nan=False))
    levels = {
        (one["day"]["init_date"], lead["lead"]): lead["levels"]
        for one in result.days
        for lead in plain_forecast(model, one["day"], one["learned"])
    }
    assert largest_difference(levels, expected) <= NEAR
    init_date = model["example"]["day"]["init_date"]
    example = {(init_date, lead["lead"]): lead["levels"] for lead in model["example"]["forecast"]}
    assert largest_difference(example, expected) <= NEAR
    assert init_date == str(tables_with_gaps(result.dam).init_date)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_readers_forecast_as_the_program(name: str, language: str, tmp_path: Path, execution: Execution) -> None:
    result = exported(name, execution)
    write_export(result, tmp_path)
    expected = {
        (one["day"]["init_date"], lead["lead"]): lead["levels"] for one in result.days for lead in one["forecast"]
    }
    assert largest_difference(expected, reader_levels(language, tmp_path)) <= NEAR


@pytest.mark.slow
def test_an_inflow_forecast_reaches_the_readers(tmp_path: Path, execution: Execution) -> None:
    dam, frame, issues = world(GATES)
    last = issues["issue_time"].unique().sort()[-20]
    issues = issues.filter(pl.col("issue_time") < last)  # the last days have none
    tables = DailyTables(frame, frame, frame["date"][-1], None, issues)
    result = export_dam(dam, tables, days=60, execution=execution)
    write_export(result, tmp_path)
    known = [one["day"]["inputs_ahead"][1]["balance_ahead_ens_mean"] is not None for one in result.days]
    assert 20 < sum(known) < 50
    expected = program_levels(dam, tables, 60, execution)
    for language in LANGUAGES:
        levels = reader_levels(language, tmp_path)
        assert len(levels) == 60 * 2
        assert largest_difference(levels, expected) <= TOLERANCE


def altered(result: Export) -> list[tuple[Any, Any]]:
    """Days, and what is learned, on which each rule of the page changes the forecast."""
    one = result.days[-1]
    missing = {name: None for name in one["day"]["inputs"] if name not in ("day_of_year", *result.model["drivers"])}
    altered_days = [
        (one["day"] | {"inputs": one["day"]["inputs"] | hidden}, one["learned"])
        for hidden in (missing, *({name: None} for name in missing))
    ]
    for factor in (-30.0, 0.0, 30.0):
        inputs = {name: value and (value if name == "day_of_year" else factor * value)
                  for name, value in one["day"]["inputs"].items()}  # fmt: skip
        altered_days.append((one["day"] | {"inputs": inputs}, one["learned"]))
    if one["day"]["full_supply"] is not None:
        for above in (-1.0, -0.3, 0.0, 0.3, 2.0):
            altered_days.append((one["day"] | {"level": one["day"]["full_supply"] + above}, one["learned"]))
        unknown = {"full_supply": None, "full_supply_ahead": [None] * len(one["day"]["full_supply_ahead"])}
        altered_days.append((one["day"] | unknown, one["learned"]))
    silent = next(one for one in result.days if one["day"]["drivers_age"] == 3)
    for age in (1, 9):
        altered_days.append((silent["day"] | {"drivers_age": age}, silent["learned"]))
    by_lead = [lead | {"outages": {}} for lead in silent["learned"]["by_lead"]]
    altered_days.append((silent["day"], silent["learned"] | {"by_lead": by_lead}))
    blind = next(one for one in result.days if one["day"]["level_age"] == 2)
    altered_days.append((blind["day"] | {"level_age": 5}, blind["learned"]))
    for suspect in (90.0, 100.0):
        altered_days.append((blind["day"] | {"suspect_level": suspect}, blind["learned"]))
    for name, value in LEARNED:
        leads = [lead | {name: value} if name in lead else lead for lead in one["learned"]["by_lead"]]
        altered_days.append((one["day"], one["learned"] | {"by_lead": leads}))
        if name in one["learned"]:
            altered_days.append((one["day"], one["learned"] | {name: value}))
    return altered_days


LEARNED: list[tuple[str, Any]] = [
    ("largest_range", 1e-6), ("largest_range", None), ("largest_range_with_default", 1e-6), ("limits", [96.5, 96.6]),
    ("limits", [None, None]), ("fast_fall", 9.0), ("fast_rise", -9.0), ("fast_fall", None), ("has_curve", 0),
    ("resolution", 3.0), ("wet_above", {"rain_3d": -1.0}), ("wet_above", {"rain_3d": None}),
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_readers_agree_where_each_rule_acts(language: str, tmp_path: Path, execution: Execution) -> None:
    result = exported(RELEASE, execution)
    expected, days = {}, []
    for number, (day, learned) in enumerate(altered(result)):
        days.append({"day": day | {"init_date": f"altered {number}"}, "learned": learned})
        for lead in plain_forecast(result.model, day, learned):
            expected[f"altered {number}", lead["lead"]] = lead["levels"]
    write_export(replace(result, days=tuple(days)), tmp_path)
    assert largest_difference(expected, reader_levels(language, tmp_path)) <= NEAR
    first = [levels for (_, lead), levels in expected.items() if lead == 1]
    assert len({tuple(levels) for levels in first}) > 0.6 * len(days)  # most alterations change the forecast


def inputs_with_gaps(count: int, *, seed: int) -> pl.DataFrame:
    """Random inputs of every member; all but the day of the year and the first stream are missing on some rows."""
    rng = np.random.default_rng(seed)
    names = ["last_change", "rain_3d", "s", "s_rise", "context_level", "median_change_30d"]
    names += [f"balance_{flow}{end}" for flow in ("inflow", "release", "expected", "change") for end in ("", "_10d")]
    names += ["balance_ahead_f_mean", "balance_ahead_f_q50", "balance_ahead_f_spread"]
    values = pl.DataFrame({name: rng.normal(2.0 if name == "rain_3d" else 0.0, 6.0, count) for name in names})
    hidden = {name: rng.random(count) < (0.0 if name == "s" else 0.15) for name in names}
    rows = values.select(pl.when(pl.Series(~hidden[name])).then(name).alias(name) for name in names)
    return rows.with_columns(day_of_year=pl.Series(rng.integers(1, 367, count)))


MEMBERS = MODELS | FLOW_MODELS | FORECAST_MODELS


@pytest.mark.parametrize("name", MEMBERS)
def test_an_exported_member_forecasts_as_the_model(name: str) -> None:
    inputs, unseen = inputs_with_gaps(600, seed=1), inputs_with_gaps(80, seed=2)
    filled = inputs.select(pl.exclude("day_of_year").fill_null(3.0))  # the absence of an input has an effect
    target = np.tanh(filled.to_numpy() @ np.linspace(-0.1, 0.1, filled.width)) + 0.05 * filled["s"].to_numpy()
    model = MEMBERS[name](3).fit(inputs, target)
    plain = json.loads(json.dumps(plain_model(model, inputs.columns)))
    read = [member_change(plain, row) for row in unseen.iter_rows(named=True)]
    assert read == pytest.approx(model.predict(unseen), abs=1e-12)
    assert name == "no_change" or np.ptp(read) > 0
    if isinstance(model, PredictsSpread):
        spreads = [member_spread(plain, row) for row in unseen.iter_rows(named=True)]
        assert spreads == pytest.approx(model.spread(unseen), abs=1e-12)
        assert np.ptp(spreads) > 0


def test_missing_values_take_their_branch_in_exported_trees() -> None:
    inputs = inputs_with_gaps(600, seed=1).select("s", "s_rise", "rain_3d", "context_level")
    absent = inputs.select("s_rise", "rain_3d", "context_level").select(pl.all().is_null()).to_numpy()
    model = Trees(1).fit(inputs, absent @ np.array([1.0, -2.0, 4.0]) + 0.1 * np.sin(inputs["s"].to_numpy()))
    plain = plain_model(model, inputs.columns)
    sides = {side for tree in plain["trees"] for side in tree["missing_left"]}
    assert sides == {0, 1}
    unseen = inputs_with_gaps(80, seed=2).select(inputs.columns)
    read = [member_change(plain, row) for row in unseen.iter_rows(named=True)]
    assert read == pytest.approx(model.predict(unseen), abs=1e-12)


def test_a_watched_state_gives_the_weights_of_its_day() -> None:
    rng = np.random.default_rng(3)
    observed = rng.normal(0.0, 1.0, 60)
    forecasts = {name: observed + rng.normal(0.0, size, 60) for name, size in {"trees": 0.4, "huber": 0.5}.items()}
    kinds, rows = rng.integers(0, 3, 60), Rows(60, watched=frozenset({20, 59}))
    _, weights = blend(forecasts, observed, lead_time=2, regimes=kinds, rows=rows)
    for day in (20, 59):
        state = [rows.after[f"blend2/{part}@{day}"] for part in ("regret", "size")]
        table = weights_by_kind(list(forecasts), *state, lead_time=2)
        assert table[kinds[day]].tolist() == [weights[name][day] for name in forecasts]
    assert set(rows.after) == {f"blend2/{part}@{day}" for part in ("regret", "size") for day in (20, 59)}


def test_what_is_learned_by_another_day_changes_the_forecast(execution: Execution) -> None:
    result = exported(RELEASE, execution)
    first, last = result.days[0], result.days[-1]
    own = [lead["levels"] for lead in plain_forecast(result.model, first["day"], first["learned"])]
    later = [lead["levels"] for lead in plain_forecast(result.model, first["day"])]
    assert later == [lead["levels"] for lead in plain_forecast(result.model, first["day"], last["learned"])]
    assert np.abs(np.subtract(own, later)).max() > TOLERANCE


def test_wild_disagreement_leaves_the_robust_members(execution: Execution) -> None:
    """With two of them without weight, the forecast is that of the third."""
    result = exported("no full supply", execution)
    model, learned = json.loads(json.dumps([result.model, result.model["learned"]]))
    names = [member["name"] for member in model["by_lead"][0]["members"]]
    for lead in learned["by_lead"]:
        lead["largest_range"] = 0.0
        weights = [0.0 if name in ("no_change", "climatology") else 0.1 for name in names]
        lead["weights"] = dict.fromkeys(lead["weights"], weights)
        lead["quiet"]["shares"] = [0.0, 0.0]
        lead["limits"] = [None, None]
    learned["curve"] = np.eye(len(learned["curve"])).tolist()
    day = model["example"]["day"]
    forecast = plain_forecast(model, day, learned)
    for lead in model["by_lead"]:
        lead["members"] = [member for member in lead["members"] if member["name"] in ("trees", "huber")]
    for lead in learned["by_lead"]:
        lead["weights"] = {kind: [0.0 if m["name"] == "huber" else 1.0 for m in model["by_lead"][0]["members"]]
                           for kind in lead["weights"]}  # fmt: skip
    model["by_lead"] = [lead | {"spread_of": []} for lead in model["by_lead"]]
    for lead in learned["by_lead"]:
        lead["intervals"]["columns"] = []
        lead["quiet"]["columns"] = []
    trees = plain_forecast(model, day, learned)
    assert [lead["changes"][3] for lead in forecast] == pytest.approx([lead["changes"][3] for lead in trees], abs=1e-12)


def test_the_file_states_the_days_for_which_it_is_valid(execution: Execution) -> None:
    result = exported(RELEASE, execution)
    tables = tables_with_gaps(result.dam)
    assert result.model["fitted_on"] == f"{tables.init_date.year}-01-01"
    assert result.model["fitted_until"] == f"{tables.init_date.year}-12-31"
    assert result.model["learned"]["init_date"] == str(tables.init_date)
    early = export_dam(result.dam, DailyTables(*2 * (tables.known.head(236),), tables.known["date"][235], None))
    assert early.model["fitted_on"] == str(tables.known["date"][120])
    assert early.model["fitted_until"] == str(tables.known["date"][239])


@needs_shared
@pytest.mark.parametrize("path", sorted((PROJECT / "tests" / "dams").glob("*.toml")), ids=lambda path: path.stem)
def test_every_input_has_a_unit_and_a_definition(path: Path) -> None:
    dam = load_dam(str(path))
    names = [name for name in build_inputs(usable_values(daily_from_files(dam), dam), dam).columns if name != "date"]
    notes = input_notes(names, dam)
    assert [note["name"] for note in notes] == names
    assert all(note["unit"] and note["description"] for note in notes)


@needs_shared
@pytest.mark.parametrize("name", ["kabini", "folsom"])
def test_the_inputs_from_forecasts_have_definitions(name: str) -> None:
    dam = load_dam(str(PROJECT / "tests" / "dams" / f"{name}.toml"))
    frame = daily_from_files(dam).tail(900)
    samples = make_samples(frame, frame, dam)
    for lead in dam.hindcast.leads:
        assert input_notes(samples.inputs_at(lead).columns, dam)
        assert samples.inputs_at(lead).width > samples.inputs.width


def test_a_folder_with_other_files_is_refused(tmp_path: Path, execution: Execution) -> None:
    result = exported(RELEASE, execution)
    write_export(result, tmp_path)
    write_export(replace(result, days=result.days[-1:]), tmp_path)  # over an earlier export
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"default.json", "default.terms", "forebay_default.ex", "forebay_default.mjs"}
    other = replace(result, dam=result.dam.model_copy(update={"id": "other"}))
    with pytest.raises(ConfigError, match="has the export of small, not of other; give a new folder with -o DIR"):
        write_export(other, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"has other files \(notes.txt\); give a new folder with -o DIR"):
        write_export(result, tmp_path)


def test_a_blend_with_a_net_is_not_exported() -> None:
    dam = RAIN_DAM.model_copy(update={"hindcast": RAIN_DAM.hindcast.model_copy(update={"nets": True})})
    with pytest.raises(ConfigError, match="has `nets = true` in its dam file.* export the net with `forebay article`"):
        job.export(dam, archive="sqlite:///absent.db")


def test_a_record_without_a_level_for_weeks_is_not_exported(execution: Execution) -> None:
    tables, target = tables_with_gaps(RAIN_DAM), RAIN_DAM.target_gauge.column
    year = tables.init_date.year
    has_level = pl.col("date") < date(year - 1, 11, 15)
    frame = tables.known.filter(pl.col("date") < date(year, 1, 20))
    frame = frame.with_columns(pl.when(has_level).then(target).alias(target))
    sentence = f"has no forecast with intervals since the last fit on {year}-01-01, .* give an earlier day"
    with pytest.raises(DataError, match=sentence):
        export_dam(RAIN_DAM, DailyTables(frame, frame, frame["date"][-1], None), execution=execution)


def test_full_supply_ahead_is_that_of_the_valid_dates() -> None:
    """A rule curve is known ahead; the day's own full supply is another number."""
    rule = {"rule_curve": [{"day": "01-01", "value": 100.0}, {"day": "12-31", "value": 465.0}]}
    dam = synthetic.small_dam(full_supply=rule, hindcast={"leads": (1, 3)})
    levels = (99 + np.random.default_rng(3).normal(0, 0.1, 100)).tolist()
    frame = synthetic.daily_frame(dam, {"reservoir_level": levels})
    day = plain_day(make_samples(frame, frame, dam), dam, {}, 40)
    values = dam.full_supply.on(frame["date"]).to_list()  # type: ignore[union-attr]  # the dam has one
    assert day["full_supply"] == values[40] and day["full_supply_ahead"] == [values[41], values[43]]
    assert (day["init_date"], day["level"], day["level_age"]) == (str(frame["date"][40]), levels[40], 0)


@pytest.mark.parametrize(("days", "first"), [(1095, 0), (1096, 1095)])
def test_the_first_three_years_of_a_longer_record_are_not_exported(days: int, first: int) -> None:
    level = np.ones(days)
    level[500] = np.nan
    usable = exportable_days(SimpleNamespace(start_level=level))  # type: ignore[arg-type]  # only its levels are used
    assert np.flatnonzero(usable).tolist() == [day for day in range(first, days) if day != 500]


def test_too_short_a_record_is_not_exported() -> None:
    frame = frame_of(RAIN_DAM).head(20)
    with pytest.raises(DataError, match="has no forecast with intervals since the last fit .*, or add older readings"):
        export_dam(RAIN_DAM, DailyTables(frame, frame, frame["date"][-1], None))


@pytest.mark.parametrize("error", [2e-6, float("nan")])
def test_numbers_that_differ_from_the_program_are_not_exported(
    error: float, monkeypatch: pytest.MonkeyPatch, execution: Execution
) -> None:
    def plain_forecast_with_error(*arguments: Any) -> list[Any]:
        forecast = plain_forecast(*arguments)
        forecast[1]["changes"][6] += error
        return forecast

    monkeypatch.setattr(job, "plain_forecast", plain_forecast_with_error)
    with pytest.raises(ModelError, match="and the program differ by (2e-06|nan) m, allowed is 1e-06"):
        export_dam(RELEASE_DAM, tables_with_gaps(RELEASE_DAM), execution=execution)


WRONG_AGE = "drivers_age must be the days since the last of rain_lag0; 0 if one is known"
WRONG_DAYS = {
    "no level": ({"level": None}, "the day has no level"),
    "a level without its age": ({"level_age": None}, "level_age must be the days since the level; 0 for today's"),
    "no change since the level": ({"level_age": 1}, "since_level must have the change of no_change since the level"),
    "an absent input": ({"inputs": {}}, 'input "last_change" must be a number, or n.* where it is missing'),
    "no day of the year": ({"inputs": {"day_of_year": None}}, 'input "day_of_year" must be a number'),
    "no driver": ({"inputs": {"rain_lag0": None}}, WRONG_AGE),
    "an age beside a driver": ({"drivers_age": 2}, WRONG_AGE),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", WRONG_DAYS)
def test_the_readers_refuse_a_day_that_they_cannot_forecast(
    case: str, language: str, tmp_path: Path, execution: Execution
) -> None:
    result = exported(RELEASE, execution)
    change, sentence = WRONG_DAYS[case]
    one = result.days[-1]
    inputs = change.get("inputs", one["day"]["inputs"])
    day = one["day"] | change | {"inputs": one["day"]["inputs"] | inputs if inputs else {}}
    write_export(replace(result, days=(one | {"day": day}, one)), tmp_path)
    process = run_reader(language, tmp_path)
    assert process.returncode != 0
    assert re.search(sentence, process.stderr)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_readers_refuse_a_day_without_drivers_if_no_record_has_one(
    language: str, tmp_path: Path, execution: Execution
) -> None:
    result = exported(RELEASE, execution)
    days = tuple(one for one in result.days if one["day"]["drivers_age"] == 1)
    write_export(replace(result, days=days, model=result.model | {"outages": []}), tmp_path)
    assert "the file has no intervals for an outage of drivers" in run_reader(language, tmp_path).stderr


PER_DAY = {
    "elixir": """
    Code.require_file("forebay_default.ex", __DIR__)
    model = ForebayDefault.load("default.terms")
    {:ok, [%{"days" => days}]} = :file.consult("days.terms")
    for %{"day" => day} <- days, do: IO.puts(ForebayDefault.changes_per_day(model, day)["huber"])
    """,
    "js": """
    import { readFileSync } from "node:fs";
    import { changesPerDay } from "./forebay_default.mjs";
    const model = JSON.parse(readFileSync("default.json"));
    for (const { day } of JSON.parse(readFileSync("days.json")).days) console.log(changesPerDay(model, day).huber);
    """,
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_changes_per_day_since_the_level_add_up(language: str, tmp_path: Path, execution: Execution) -> None:
    result = exported(RELEASE, execution)
    write_export(result, tmp_path)
    suffix, _ = LANGUAGES[language]
    (tmp_path / f"per_day.{suffix}").write_text(PER_DAY[language])
    command, package = COMMANDS[language]
    need_program(command, package)
    process = run_program(command, f"per_day.{suffix}", cwd=tmp_path)
    per_day = [float(line) for line in process.stdout.splitlines()]
    since = [one["day"]["since_level"].get("huber", 0.0) for one in result.days]
    ages = [one["day"]["level_age"] for one in result.days]
    assert max(ages) == 3
    for row, age in enumerate(ages):
        assert since[row] == pytest.approx(sum(per_day[row - age : row]), abs=NEAR)
    assert max(np.abs(since)) > TOLERANCE


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_readers_refuse_what_is_learned_with_other_fits(
    language: str, tmp_path: Path, execution: Execution
) -> None:
    result = exported(RELEASE, execution)
    write_export(replace(result, model=result.model | {"fitted_on": "2030-01-01"}), tmp_path)
    own = result.model["fitted_on"]
    sentence = f"what is learned belongs to the fits of {own}, the model to 2030-01-01"
    assert sentence in run_reader(language, tmp_path).stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_readers_refuse_another_file(language: str, tmp_path: Path, execution: Execution) -> None:
    result = exported(RELEASE, execution)
    write_export(replace(result, model=result.model | {"version": 2}), tmp_path)
    assert "is not a default of forebay in format version 1" in run_reader(language, tmp_path).stderr


def test_the_command_writes_the_files_and_their_example(tmp_path: Path) -> None:
    frame = tables_with_gaps(RAIN_DAM).known.head(420)
    path = synthetic.write_dam(RAIN_DAM, frame, tmp_path)
    assert forebay("fetch", path).code == 0
    result = forebay("export", path, "--days", "3", "-o", tmp_path / "out", "--json")
    assert (result.code, result.json["days"], result.json["unit"]) == (0, 3, "m")
    sizes = {Path(file["path"]).name: file["bytes"] for file in result.json["files"]}
    assert sizes == {file.name: file.stat().st_size for file in (tmp_path / "out").iterdir()}
    model = json.loads((tmp_path / "out" / "default.json").read_text("utf-8"))
    assert model["example"]["forecast"] == result.json["forecast"]
    content = result.json
    assert content["inputs"] == len(model["inputs"]) + len(model["inputs_ahead"])
    assert content["init_date"] == model["learned"]["init_date"] == model["example"]["day"]["init_date"]
    assert (content["fitted_on"], content["fitted_until"]) == (model["fitted_on"], model["fitted_until"])
    assert (content["dam"], content["simulated"]) == (model["dam"], True) and 0 <= content["difference"] <= TOLERANCE
    issued = forebay("forecast", path, "--json").json
    medians = [row["level"] for row in issued["forecast"] if row["model"] == DEFAULT_MODEL and row["quantile"] == 0.5]
    assert [lead["levels"][3] for lead in result.json["forecast"]] == pytest.approx(medians, abs=1e-9)
    text = forebay("export", path, "-o", tmp_path / "out").out
    assert "Export again each day, at the latest after" in text
    wrong = forebay("export", path, "-o", tmp_path)
    assert wrong.code == 2
    assert "has other files (" in wrong.err


def test_the_readers_are_part_of_the_package() -> None:
    for name in job.MODULES:
        assert (resources.files("forebay.forecasts") / "embed" / name).is_file()
