"""Conclusions of a draft from numbers and dates: totals since a reset, future dates, successive files, drivers."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.draft import ranking
from forebay.draft.answers import Answers, Question
from forebay.draft.candidates import Candidate, candidates, drivers_near
from forebay.draft.cells import read_cells
from forebay.draft.dam import draft_dam
from forebay.draft.dates import date_readings
from forebay.draft.near import Place, choose_drivers, decide_target, first_day, near_text
from forebay.draft.numbers import number_texts
from forebay.draft.periods import join_periods
from forebay.draft.series import all_series
from forebay.draft.tables import UserTable, user_table, usual_step
from forebay.draft.text_form import text_form
from forebay.draft.times import are_accumulated, stamp_offset
from forebay.draft.units import decide_unit
from forebay.errors import ConfigError
from forebay.models.model import Array
from forebay.sources.stations import NEARBY_SERIES, NEARBY_STATIONS, NearbyStations

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("resets", "fall_to", "is_accumulated"), [(0, 0.0, True), (2, 0.0, True), (2, 0.5, False), (8, 0.0, False)]
)
def test_totals_since_a_reset_fall_rarely_and_to_zero(resets: int, fall_to: float, is_accumulated: bool) -> None:
    """300 days with 2 mm on each third day; a reset of `resets` leaves the share `fall_to` of the total."""
    total, numbers = 0.0, []
    for day in range(300):
        total += 2.0 if day % 3 == 0 else 0.0
        if resets and day % (300 // resets) == 30:
            total *= fall_to
        numbers.append(total)
    assert are_accumulated(pl.Series(numbers)) == is_accumulated
    assert not are_accumulated(pl.Series(numbers[:89])), "too few numbers"


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("05/03/2024", ["%d/%m/%Y"]),  # tomorrow, or 3 May
        ("06/03/2024", ["%d/%m/%Y", "%m/%d/%Y"]),  # both later than tomorrow: the user is asked
        ("04/03/2024", ["%d/%m/%Y"]),
        ("02/03/2024", ["%d/%m/%Y", "%m/%d/%Y"]),  # both in the past
    ],
)
def test_dates_later_than_tomorrow_exclude_a_format_if_another_one_has_none(text: str, forms: list[str]) -> None:
    cells = pl.DataFrame({"date": ["01/01/2024", "02/02/2024", text]})
    assert [reading.form for reading in date_readings(cells, NOW)] == forms


@pytest.mark.parametrize(
    ("first", "count"),
    [(date(2024, 1, 10), 1), (date(2024, 1, 9), 2), (date(2023, 12, 29), 2), (date(2023, 12, 28), 1)],
)
def test_files_are_one_record_if_they_share_no_date(first: date, count: int, tmp_path: Path) -> None:
    """One file has the days 31 December to 9 January; another one has three days from `first` on."""
    tables = []
    for name, start, days in (("level_2023.csv", date(2023, 12, 31), 10), ("level_2024.csv", first, 3)):
        rows = [f"{start + timedelta(days=n)},{n}.5" for n in range(days)]
        (tmp_path / name).write_text("\n".join(["date,level_m", *rows]))
        tables.append(read_table(tmp_path / name, Answers(accept_defaults=True), []))
    joined = join_periods(tables, Answers())
    assert len(joined) == count
    assert sum(len(table.cells) for table in joined) == 13


def test_a_week_lies_between_training_and_test_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every day is tested once, against a fit on all days that are more than a week away."""
    day = np.flatnonzero(np.arange(500) % 50 > 3)
    tested: list[float] = []

    def predict(train: Array, target: Array, test: Array) -> Array:
        distance = np.abs(day[:, None] - test[:, 0]).min(axis=1)
        assert train[:, 0].tolist() == target.tolist()
        assert set(day[distance > ranking.PURGE_DAYS + 4]) <= set(target) <= set(day[distance > ranking.PURGE_DAYS])
        tested.extend(test[:, 0])
        return test[:, 0]

    monkeypatch.setattr(ranking, "_predict", predict)
    assert ranking._test_error(day[:, None].astype(float), day.astype(float), day) == 0
    assert tested == day.tolist()


@pytest.mark.parametrize(
    ("text", "separator", "header", "units", "comment"),
    [
        ("date,level\n2024-01-01,1.5\n2024-01-02,1.6\n", ",", 1, None, None),
        ("date;level\n2024-01-01;1,5\n2024-01-02;1,6\n", ";", 1, None, None),
        ("# A lake\n# of hills\ndate,level\n2024-01-01,1.5\n", ",", 3, None, "#"),
        ("date, level\n  # closed\n2024-01-01, 1.5\n# open\n2024-01-02, 1.6\n", ",", 1, None, "#"),
        ("A lake\n\ndate\tlevel\n\tm\n2024-01-01\t1.5\n2024-01-02\t1.6\n", "\t", 3, 4, None),
        ("date,level\n,(m)\n2024-01-01,1.5\n2024-01-02,1.6\n", ",", 1, 2, None),
        (",,\ndate,level,rain\n2024-01-01,1.5,0\n", ",", 2, None, None),
        ("date level\n2024-01-01 1.5\n2024-01-02 1.6\n", " ", 1, None, None),
    ],
)
def test_the_form_of_a_text(text: str, separator: str, header: int, units: int | None, comment: str | None) -> None:
    form = text_form(text.encode(), "a.csv")
    assert (form.separator, form.header_line, form.units_line) == (separator, header, units)
    assert form.comments == (() if comment is None else (comment,))
    if units is not None:
        assert dict(form.units_of_columns)["level"].strip("()") == "m"


def candidate(variable: str, station: str) -> Candidate:
    return Candidate("usgs", f"{variable} at {station}", variable, "m", {"station": station}, 1.0, None, None)


def test_drivers_are_the_five_nearest_gauges_of_each_variable_and_the_storage_of_the_lake_itself() -> None:
    target = candidate("reservoir_level", "lake")
    rains = [candidate("rainfall", f"r{n}") for n in range(7)]
    own, far = candidate("storage", "lake"), candidate("storage", "another lake")
    level, share = candidate("reservoir_level", "tail"), candidate("storage_percent", "lake")
    river, snow = candidate("discharge", "lake"), candidate("snow_water_equivalent", "peak")
    series = [target, *rains[:3], far, own, level, share, river, *rains[3:], snow]
    assert drivers_near(series, target) == [*rains[:3], own, river, *rains[3:5], snow]
    volume = candidate("storage", "lake")
    assert drivers_near([volume, own, target, river], volume) == [river], "of a storage no other content of a lake"


@pytest.mark.parametrize(
    ("first", "last", "km", "title"),
    [
        (date(2001, 2, 3), date(2020, 4, 5), 1.26, "A creek, 1.3 km, 2001-02-03 to 2020-04-05, ft"),
        (date(2001, 2, 3), None, 0.0, "A creek, 0.0 km, since 2001-02-03, ft"),
        (None, date(2020, 4, 5), None, "A creek, at the place, until 2020-04-05, ft"),
        (None, None, None, "A creek, at the place, ft"),
    ],
)
def test_a_candidate_in_words(first: date | None, last: date | None, km: float | None, title: str) -> None:
    keys = {"station": "7"}
    creek = Candidate("usgs", "A creek", "stream_level", "ft", keys, km, first, last)
    assert creek.title == title
    assert replace(creek, name="").title == title.replace("A creek", "7")
    assert creek.table()["role"] == "stream" and creek.table(is_target=True)["role"] == "target"


def test_series_without_a_unit_or_of_an_ended_gauge_are_no_candidates() -> None:
    """An ended gauge is named; a series without variable or unit, which no gauge can read, is not."""
    now = NOW.date()
    station = {"source": "waternsw", "station": "1", "name": "A creek", "distance_km": 2.0, "bearing_deg": 0.0}
    place = {"source": "waternsw", "station": "1"}
    series = [
        {**place, "variable": "rainfall", "unit": "mm", "code": "10.00", "last_day": now - timedelta(days=60)},
        {**place, "variable": "rainfall", "unit": None, "code": "10.01", "last_day": now},
        {**place, "variable": None, "unit": "V", "code": "600.00", "last_day": now},
        {**place, "variable": "stream_level", "unit": "m", "code": "100.00", "last_day": now - timedelta(days=61)},
    ]
    nearby = NearbyStations(
        0.0, 0.0, 9.0, ("waternsw",), pl.DataFrame([station], NEARBY_STATIONS.columns),
        pl.DataFrame(series, NEARBY_SERIES.columns), (),
    )  # fmt: skip
    usable, notes = candidates(nearby, now)
    assert [(one.variable, one.unit) for one in usable] == [("rainfall", "mm")]
    assert notes == [
        f"A creek, 2.0 km, until {now - timedelta(days=61)}, m: left out, it has ended",
        "2 series left out, because they measure something else, or in an unknown unit",
    ]


def test_useful_drivers_are_chosen_and_a_statement_replaces_the_score() -> None:
    by_column = {name: candidate("rainfall", name) for name in ("best", "least", "useless", "stated", "broken")}
    gains = {"best": 0.3, "least": ranking.MIN_GAIN, "useless": ranking.MIN_GAIN - 1e-9, "stated": -0.1}
    scores = {name: ranking.DriverScore(gain, 900, 0.5, 1) for name, gain in gains.items()}
    answers = Answers({by_column["stated"].key: "use", by_column["best"].key: "ignore"})
    drivers = choose_drivers(by_column, scores, {"broken": "no reading"}, answers)
    assert drivers == [by_column["least"], by_column["stated"]]
    reasons = {decision.key: (decision.value, decision.reason) for decision in answers.decisions}
    title = by_column["broken"].title
    assert reasons[by_column["broken"].key] == ("ignore", f"{title}: not fetched, no reading")
    assert reasons[by_column["best"].key] == ("ignore", "stated with --set")
    words = "raises the error of the next change by 10.0% on 900 days; correlation +0.50 1 d before"
    assert scores["stated"].sentence == words


@pytest.mark.parametrize(
    ("today", "years", "first"),
    [
        (date(2024, 2, 29), 4, date(2020, 2, 28)),
        (date(2024, 2, 29), 1, date(2023, 2, 28)),
        (date(2024, 3, 31), 1, date(2023, 3, 31)),
        (date(2024, 1, 29), 3, date(2021, 1, 29)),
    ],
)
def test_a_record_begins_on_the_same_day_of_the_year(today: date, years: int, first: date) -> None:
    assert first_day(today, years) == first


def table_of(folder: Path, text: str, words: tuple[str, ...] = (), **settings: str) -> UserTable:
    """The table of a file of a dam with these words in its name; settings: where.COLUMN, with _ for the point."""
    (folder / "lake.csv").write_text(text)
    stated = {f"lake:{key.replace('_', '.')}": value for key, value in settings.items()}
    return read_table(folder / "lake.csv", Answers(stated, accept_defaults=True), words)


def read_table(path: Path, answers: Answers, words: Sequence[str]) -> UserTable:
    """The table of a file of a dam with these words in its name."""
    return user_table(read_cells(str(path), answers, NOW), answers, words)


@pytest.mark.parametrize(
    ("suffixes", "offset"),
    [
        (("+10:00", "+10:00"), "+10:00"), (("-0330", "-0330"), "-03:30"), (("+00:00", "+00:00"), None),
        (("Z", "Z"), None), (("+01:00", "+02:00"), None), (("", ""), None),
    ],
)  # fmt: skip
def test_the_offset_that_all_stamps_carry_is_that_of_the_dam(
    suffixes: tuple[str, str], offset: str | None, tmp_path: Path
) -> None:
    """Not so with UTC: that is the zone of a service, and seldom that of a dam."""
    rows = [f"2024-0{n}-01T06:00{suffix},1.{n}" for n, suffix in enumerate(suffixes, 1)]
    rows.append(rows[1].replace("02-01", "02-02"))
    assert stamp_offset(table_of(tmp_path, "\n".join(["time,level_m", *rows]))) == offset


@pytest.mark.parametrize(("days", "step"), [((1, 2, 3, 5), 1), ((1, 8, 15, 16), 7), ((1, 2), None), ((3, 2, 1, 1), 1)])
def test_the_usual_step_is_the_most_frequent_one(days: tuple[int, ...], step: int | None) -> None:
    stamps = pl.Series([datetime(2024, 1, day) for day in days] + [None], dtype=pl.Datetime("us"))  # noqa: DTZ001  # as read
    assert usual_step(stamps) == (None if step is None else timedelta(days=step))


def test_the_lines_of_one_dam_are_chosen_by_the_fewest_columns(tmp_path: Path) -> None:
    """Two dams with two sensors each: two columns; the text with the dam's name, the other one by the answer."""
    rows = [f"2024-01-0{d},{dam},{sensor},{d}.{n}" for d in (1, 2, 3) for n, (dam, sensor) in enumerate(
        (dam, sensor) for dam in ("Lake Red", "Lake Blue") for sensor in ("A", "B"))]  # fmt: skip
    text = "\n".join(["date,dam,sensor,level_m", *rows])
    with pytest.raises(ConfigError, match=r"which text in column 'sensor' is this dam's: A \(3 lines\), B \(3 lines\)"):
        table_of(tmp_path, text, ("blue",))
    table = table_of(tmp_path, text, ("blue",), where_sensor="b")
    assert table.line_texts == {"dam": "Lake Blue", "sensor": "B"}
    assert table.rows["level_m"].to_list() == ["1.3", "2.3", "3.3"]


def test_a_question_lists_the_units_with_the_range_of_the_values(tmp_path: Path) -> None:
    table = table_of(tmp_path, "date,level\n2024-01-01,1300.5\n2024-01-02,1200.25\n2024-01-03,1250\n")
    with pytest.raises(ConfigError) as error:
        decide_unit(all_series([table])[0], ["reservoir_level"], pl.Series([1300.5, 1200.25, None]), Answers())
    assert "m (reservoir level of 1,200.25 to 1,300.5 m)" in str(error.value)
    assert "ft (reservoir level of 365.836 to 396.392 m)" in str(error.value)


def test_an_answer_is_an_option_in_any_case_and_many_options_are_counted() -> None:
    options = {f"o{n}": "" for n in range(33)} | {"Both": "", "both": ""}
    question = Question("k", "Which one", options)
    assert Answers({"k": " O5 "}).decide(question) == "o5"
    for value in ("BOTH", "o99"):
        message = rf"^k = '{value}' is not possible; allowed are o0, o1, .*, o29 and 5 more$"
        with pytest.raises(ConfigError, match=message):
            Answers({"k": value}).decide(question)
    assert Answers({"k": "both"}).decide(question) == "both"
    prompted = Answers(ask=lambda asked: f" {asked.key.upper()} ")
    assert prompted.decide(Question("x", "", {"x": "", "y": ""})) == "x"
    assert Answers(accept_defaults=True, ask=lambda _: "y").decide(Question("x", "", {}, "d")) == "d"
    with pytest.raises(ConfigError, match="^Which; answer with --set 'x=VALUE'$"):
        Answers(accept_defaults=True, ask=lambda _: "y").decide(Question("x", "Which"))


def test_a_column_of_many_texts_with_few_numbers_is_no_column_of_numbers() -> None:
    """Cells count, and not distinct texts: 40 times "closed" and five numbers, and the reverse."""
    numbers = [f"{n}.5" for n in range(5)]
    assert number_texts(pl.Series("gate", [*numbers, *["closed"] * 40])) is None
    texts = number_texts(pl.Series("level", [*numbers * 8, "closed", None]))
    assert texts is not None
    assert (texts.texts.to_list(), texts.no_value) == (numbers, {"closed": 1})


def test_the_unit_after_each_number_is_the_same() -> None:
    same = number_texts(pl.Series("level", ["1.5 m", "2 m", "2.5m"]))
    assert same is not None
    assert (same.unit_suffix, [numbers.to_list() for numbers in same.readings.values()]) == ("m", [[1.5, 2.0, 2.5]])
    assert number_texts(pl.Series("level", ["1.5 m", "2 ft", "2.5 m"])) is None
    plain = number_texts(pl.Series("level", ["1.5 m", "2", "2.5 m"]))
    assert plain is None


def test_the_datum_of_a_level_is_named_in_the_dam_file() -> None:
    keys = {"station": "X.Elev.Inst.1Hour.0.Y", "request": {"office": "SWT"}}
    level = Candidate("cwms", "Lake", "reservoir_level", "ft", keys, 1.0, None, None)
    target = decide_target([level], Answers({"datum": "NAVD-88"}))
    assert target.keys["request"] == {"office": "SWT", "datum": "NAVD-88"}
    answers = Answers({"full_supply": "710"}, accept_defaults=True)
    place = Place("lake", 36.0, -97.0, "Lake", "USA", "-06:00")
    content = tomllib.loads(near_text(place, target, [], answers, scores={}, now=NOW))
    assert content["target"] == {"variable": "reservoir_level", "unit": "ft", "datum": "ft above NAVD-88"}
    assert content["full_supply"] == 710.0
    other = decide_target([replace(level, source="usgs", keys={"station": "1"})], Answers())
    assert tomllib.loads(near_text(place, other, [], answers, scores={}, now=NOW))["target"]["datum"] == (
        "ft, as published by usgs"
    )


def test_a_unit_that_is_answered_once_counts_for_later_columns_of_its_variable(tmp_path: Path) -> None:
    """The first rain states no unit and is answered; the third does not state one, the second does."""
    rows = [f"2024-01-{n:02},437.{n},{n % 3},{n % 4},{n % 5}" for n in range(1, 20)]
    (tmp_path / "lake.csv").write_text("\n".join(["date,level_m,rain a,rain b in,rain c", *rows]))
    asked: list[str] = []

    def answer(question: Question) -> str:
        asked.append(question.key)
        return "mm" if question.key.endswith("unit") else question.default or pytest.fail(question.text)

    draft = draft_dam("lake", [str(tmp_path / "lake.csv")], Answers(ask=answer), folder=tmp_path, now=NOW)
    assert [(gauge.series.name, gauge.unit) for gauge in draft.gauges[1:]] == [
        ("rain a", "mm"), ("rain b in", "in"), ("rain c", "mm")
    ]  # fmt: skip
    assert [key for key in asked if key.endswith(".unit")] == ["rain a.unit"]
