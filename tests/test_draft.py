"""`forebay new`: a draft from CSV files gives the daily tables of the hand-written dam files, or asks."""

from __future__ import annotations

import random
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.days.daily import daily_table
from forebay.draft.answers import Answers, Question
from forebay.draft.dam import DamDraft, draft_dam
from forebay.draft.numbers import number_texts
from forebay.draft.text_form import text_form
from forebay.errors import ConfigError, ForebayError, SourceError
from forebay.settings import Settings
from tests.draft_cases import DamFileAnswers
from tests.shared import PROJECT, SHARED, needs_shared

NOW = datetime(2026, 11, 28, tzinfo=UTC)
TWO_DAYS = "2024-01-01,1\n2024-01-02,2\n"
GENERAL = ("name", "country", "latitude", "longitude", "time_zone", "full_supply")


def draft_from(
    folder: Path, files: Mapping[str, str | bytes], *, settings: Mapping[str, str] | None = None, name: str = "lake"
) -> DamDraft:
    """Draft of files with these contents; proposals are accepted, other questions are errors."""
    for file, content in files.items():
        (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    paths = [str(folder / file) for file in files]
    return draft_dam(name, paths, Answers(settings or {}, accept_defaults=True), folder=folder, now=NOW)


def dam_of(draft: DamDraft, folder: Path) -> Dam:
    path = folder / f"{draft.id}.toml"
    path.write_text(draft.text, "utf-8")
    return load_dam(str(path))


def daily_of(dam: Dam, folder: Path) -> pl.DataFrame:
    with open_archive(f"sqlite:///{folder}/{dam.id}.db") as archive:
        report = fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(NOW))
        for error in report.errors.values():
            raise error
        return daily_table(archive.as_of(dam.gauges), dam)


def columns_of(dam: Dam) -> dict[tuple[str, str, str], str]:
    """(file, column, variable) → column of the daily table."""
    return {
        (Path(gauge.file.paths[0]).name, gauge.file.value, gauge.variable): gauge.column
        for gauge in dam.gauges
        if gauge.file is not None
    }


def assert_same_days(own: Dam, hand: Dam, folder: Path) -> None:
    """Every series of the hand-written dam file has the same daily values in the draft, in canonical units."""
    ours, theirs = daily_of(own, folder / "own"), daily_of(hand, folder / "hand")
    columns = columns_of(own)
    for key, column in columns_of(hand).items():
        assert key in columns, f"the draft lacks {key}"
        pairs = theirs.select("date", pl.col(column).alias("hand")).join(
            ours.select("date", pl.col(columns[key]).alias("own")), on="date", how="full", coalesce=True
        )
        for name, dam, frame_column in (("hand", hand, column), ("own", own, columns[key])):
            if frame_column == dam.target_gauge.column:
                kind = dam.target_gauge.kind
                pairs = pairs.with_columns(kind.to_canonical(pl.col(name), dam.target.unit))
        is_equal = pl.col("hand").eq_missing(pl.col("own")) | (
            (pl.col("hand") - pl.col("own")).abs() <= 1e-7 * pl.col("hand").abs()
        )
        unequal = pairs.filter(~is_equal)
        assert unequal.is_empty(), f"{key}: {unequal.rows()[:3]}"


def drafted(hand: Dam, folder: Path, **other: str) -> tuple[Dam, list[str]]:
    """The dam of a draft whose questions the hand-written file answers, and the questions besides the general ones."""
    answers = DamFileAnswers(hand, other)
    files = list(dict.fromkeys(path for gauge in hand.gauges if gauge.file for path in gauge.file.paths))
    for name in ("own", "hand"):
        (folder / name).mkdir()
    draft = draft_dam(hand.id, files, Answers(ask=answers), folder=folder / "own", now=NOW)
    return dam_of(draft, folder / "own"), [key for key in answers.asked if key not in GENERAL]


DEVELOPMENT_DAMS = {
    "beltzville": ["level.unit"],
    "bilancino": [
        "level.unit", "Rainfall_S_Piero.unit", "Temperature_Le_Croci.unit", "outflow.unit", "level.reading_at",
    ],
    "cannonsville": ["level.unit", "release.unit"],
    "cantareira": ["level.unit", "rain.unit", "inflow.unit", "outflow.unit"],
    "canyon": ["level.unit", "storage.unit"],
    "conroe": ["level.unit", "storage.unit"],
    "folsom": ["pdsi.variable"],
    "georgetown": ["level.unit", "storage.unit"],
    "jackson_lake": [],
    "kabini": [],
    "lavon": ["level.unit", "storage.unit"],
    "olivettes": ["level_m.reading_at"],
    "palisades": [],
    "salagou": ["level_m.reading_at"],
}


@needs_shared
@pytest.mark.parametrize("name", DEVELOPMENT_DAMS)
def test_draft_has_the_days_of_the_hand_written_dam_file(name: str, tmp_path: Path) -> None:
    """Nothing is asked that the file tells; nothing is assumed that only the author knows."""
    hand = load_dam(str(PROJECT / f"tests/dams/{name}.toml"))
    own, asked = drafted(hand, tmp_path)
    assert_same_days(own, hand, tmp_path)
    assert asked == DEVELOPMENT_DAMS[name]


@needs_shared
def test_names_that_state_nothing_are_asked(tmp_path: Path) -> None:
    """Warragamba's columns are v_563035_10 and the like, with quality codes of a service."""
    hand = load_dam(str(PROJECT / "tests/dams/warragamba.toml"))
    own, asked = drafted(hand, tmp_path)
    assert_same_days(own, hand, tmp_path)
    assert {"v.variable", "v.unit", "v.quality_codes", "v_563035_10.variable", "v_563035_10.unit"} <= set(asked)
    assert own.target_gauge.file is not None
    assert own.target_gauge.file.quality_codes == "waternsw"


CASES = {
    "02-weekly-bulletin/dam": ["AGUA_ACTUAL.unit"],
    "04-flashy-hydropower/dam": [],
    "06-hour-24/dam": [],
    "07-standard-time-file-in-a-dst-zone/dam_right": ["hourly:stamp"],
    "10-percent-above-150/dam": ["pct.reading_at"],
    "11-cumulative-rain/dam_daily": ["level_m.reading_at"],
    "12-unit-changes-in-the-series/dam": ["storage.unit"],
    "14-zone-corrected-in-the-dam-file/dam": ["level.unit"],
    "17-nearly-dry/dam": ["STORAGE.unit", "RAIN.unit", "STORAGE.reading_at"],
    "18-sept-and-value-errors/dam": [],
    "19-flags-of-another-agency/dam": ["VALUE.quality_codes"],
    "20-year-typed-wrong/dam": ["level.unit"],
}


@needs_shared
@pytest.mark.parametrize("name", CASES)
def test_draft_of_a_case(name: str, tmp_path: Path) -> None:
    hand = load_dam(str(SHARED / "cases" / f"{name}.toml"))
    own, asked = drafted(hand, tmp_path)
    assert_same_days(own, hand, tmp_path)
    assert asked == CASES[name]


@needs_shared
def test_one_reservoir_of_a_table_of_many(tmp_path: Path) -> None:
    hand = load_dam(str(SHARED / "cases/03-one-table-many-reservoirs/dam.toml"))
    own, asked = drafted(hand, tmp_path)
    assert asked == []
    assert own.target_gauge.file is not None
    assert own.target_gauge.file.where == {"embalse": "Medio"}
    assert daily_of(own, tmp_path)["reservoir_level"].is_between(2100, 2160).all()


@needs_shared
def test_comment_lines_and_widths_below_the_header(tmp_path: Path) -> None:
    path = str(SHARED / "cases/05-comment-lines-and-units-row/lake.rdb")
    settings = {"1_62614_00003.quality_codes": "none"}
    draft = draft_dam("rdb", [path], Answers(settings, accept_defaults=True), folder=tmp_path, now=NOW)
    dam = dam_of(draft, tmp_path)
    assert (dam.target_gauge.unit, dam.target_gauge.variable) == ("ft", "reservoir_level")
    lines = [line.split("\t") for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    levels = [float(cells[3]) for cells in lines[2:] if cells[3] not in ("", "Eqp")]
    assert daily_of(dam, tmp_path)["reservoir_level"].drop_nulls().to_list() == pytest.approx(levels)


@needs_shared
def test_accumulated_rain_becomes_the_rain_of_days(tmp_path: Path) -> None:
    """Expected by the case: 3 mm on the last three days."""
    hand = load_dam(str(SHARED / "cases/11-cumulative-rain/dam.toml"))
    own, _ = drafted(hand, tmp_path, **{"level_m.reading_at": "day"})
    table = daily_of(own, tmp_path)
    assert table["rainfall_precip_accum_mm"].tail(3).sum() == pytest.approx(3.0, abs=0.11)  # published with one decimal
    assert table["rainfall_precip_accum_mm"].drop_nulls().to_list() == pytest.approx(
        table.filter(pl.col("rainfall_precip_accum_mm").is_not_null())["rainfall_precip_day_mm"].to_list(), abs=0.11
    )


@needs_shared
def test_dates_of_the_future_are_refused_by_the_fetch(tmp_path: Path) -> None:
    path = str(SHARED / "cases/20-year-typed-wrong/all_future.csv")
    settings = {"level.unit": "m"}
    draft = draft_dam("typo", [path], Answers(settings, accept_defaults=True), folder=tmp_path, now=NOW)
    with pytest.raises(ForebayError, match="future"):
        daily_of(dam_of(draft, tmp_path), tmp_path)


@needs_shared
@pytest.mark.parametrize("path", ["folsom/folsom_inflow_forecast.csv", "kabini/kabini_rain_forecast.csv"])
def test_forecasts_are_no_readings(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has forecasts, by its column '(issue_date)'.*\[\[forcings\]\]"):
        draft_dam("dam", [str(SHARED / "data" / path)], Answers(accept_defaults=True), folder=tmp_path, now=NOW)


@needs_shared
@pytest.mark.parametrize(
    ("data", "curve", "settings"),
    [
        ("texas/Lavon.csv", "texas/Lavon_elevation_capacity.csv", ("ft", "ac-ft")),
        ("herault/salagou.csv", "herault/salagou_level_area_volume.csv", ("m", "m3")),
        ("delaware/beltzville.csv", "delaware/beltzville_storage_curve.csv", ("ft", "ac-ft")),
    ],
)
def test_storage_curve_among_the_files(data: str, curve: str, settings: tuple[str, str], tmp_path: Path) -> None:
    """The points are those that the hand-written dam file reads."""
    level_unit, storage_unit = settings
    hand_name = Path(data).stem.lower()
    hand = load_dam(str(PROJECT / f"tests/dams/{hand_name}.toml"))

    def answer(question: Question) -> str:
        if question.key.endswith(".unit"):
            storage_words = ("Capacity", "VOLUME", "storage")
            return storage_unit if any(word in question.key for word in storage_words) else level_unit
        return question.default or pytest.fail(f"{question}")

    paths = [str(SHARED / "data" / path) for path in (data, curve)]
    draft = draft_dam(hand_name, paths, Answers(ask=answer), folder=tmp_path, now=NOW)
    (own,) = dam_of(draft, tmp_path).storage_curves
    (theirs,) = hand.storage_curves
    assert (own.points, own.level_unit, own.storage_unit) == (theirs.points, theirs.level_unit, theirs.storage_unit)


@needs_shared
def test_rule_curve_without_years_is_refused(tmp_path: Path) -> None:
    path = str(SHARED / "data/folsom/folsom_rule_curve_modified_taf.csv")
    with pytest.raises(SourceError, match="no column in which every cell is a date"):
        draft_dam("dam", [path], Answers(accept_defaults=True), folder=tmp_path, now=NOW)


def lines(days: int, level: float = 437.0, form: str = "2024-{month:02}-{day:02}") -> list[str]:
    """Days of January and February with a level that falls by a centimetre a day."""
    dates = [(1 + n // 28, 1 + n % 28) for n in range(days)]
    return [f"{form.format(month=m, day=d)},{level - n / 100:.2f}" for n, (m, d) in enumerate(dates)]


def test_dates_that_can_be_read_twice_are_asked(tmp_path: Path) -> None:
    """On the first of each month, day and month cannot be told apart by a date; 12 dates decide nothing."""
    content = "date,level_m\n" + "\n".join(f"0{n}/0{n + 2}/2024,437.{n}" for n in (1, 3, 5, 2))
    with pytest.raises(ConfigError, match=r"more than one way: %d/%m/%Y \(from 01 Mar 2024.*%m/%d/%Y \(from 03 Jan"):
        draft_from(tmp_path, {"level.csv": content})
    draft = draft_from(tmp_path, {"level.csv": content}, settings={"level:date_format": "%m/%d/%Y"})
    assert dam_of(draft, tmp_path).target_gauge.file.date_format == "%m/%d/%Y"  # type: ignore[union-attr]


def test_one_date_beyond_twelve_decides_the_column(tmp_path: Path) -> None:
    content = "date,level_m\n" + "\n".join(f"{n:02}/03/2024,437.{n}" for n in range(1, 14))
    dam = dam_of(draft_from(tmp_path, {"level.csv": content}), tmp_path)
    assert dam.target_gauge.file.date_format == "%d/%m/%Y"  # type: ignore[union-attr]


def test_equal_steps_decide_where_both_orders_are_dates(tmp_path: Path) -> None:
    """Twelve days of March, day first: read month first, they would be monthly, which is less regular."""
    content = "date,level_m\n" + "\n".join(f"{n:02}/03/2024,437.{n}" for n in range(1, 13))
    draft = draft_from(tmp_path, {"level.csv": content})
    assert dam_of(draft, tmp_path).target_gauge.file.date_format == "%d/%m/%Y"  # type: ignore[union-attr]
    assert any("equal steps" in decision.reason for decision in draft.answers.decisions)


def test_decimal_comma_or_thousands_is_asked(tmp_path: Path) -> None:
    content = "date;storage_hm3\n" + "\n".join(f"2024-03-{n:02};{320 - n}.150" for n in range(1, 29))
    with pytest.raises(ConfigError, match=r"point \(292\.150 is 292\.15\), comma \(292\.150 is 292,150"):
        draft_from(tmp_path, {"level.csv": content})
    for mark, first in (("point", 319.15), ("comma", 319150.0)):
        draft = draft_from(tmp_path, {"level.csv": content}, settings={"storage_hm3.decimal_mark": mark})
        dam = dam_of(draft, tmp_path)
        assert daily_of(dam, tmp_path)["storage"][0] == pytest.approx(first)
        (tmp_path / "lake.db").unlink()


def test_another_column_decides_the_decimal_mark(tmp_path: Path) -> None:
    content = "date;storage_hm3;rain_mm\n" + "\n".join(f"2024-03-{n:02};{320 - n}.150;{n},5" for n in range(1, 29))
    dam = dam_of(draft_from(tmp_path, {"level.csv": content}), tmp_path)
    assert daily_of(dam, tmp_path)["storage"][0] == 319_150.0


def test_unit_that_the_values_exclude_is_not_believed(tmp_path: Path) -> None:
    """A level of 60,000 in a column level_m is no level in metres."""
    content = "date,level_m\n" + "\n".join(f"2024-03-{n:02},{60000 + n}" for n in range(1, 29))
    with pytest.raises(ConfigError, match=r"Which unit has 'level_m' \(60001 to 60028\).*--set 'level_m.unit=VALUE'"):
        draft_from(tmp_path, {"level.csv": content})


@pytest.mark.parametrize(
    ("files", "settings", "sentence"),
    [
        ({"a.csv": f"date,level_m\n{TWO_DAYS}"}, {"level.unit": "m"}, "--set level.unit decides nothing"),
        ({"a.csv": f"date,level\n{TWO_DAYS}"}, {"level.unit": "ell"}, "level.unit = 'ell' is not possible"),
        ({"a.csv": "2024-01-01,1\n2024-01-02,2\n"}, {}, "has no header"),
        ({"a.csv": "day,level_m,n\nMonday,1,3\nTuesday,2,4\n"}, {}, "no column in which every cell is a date"),
        ({"a.csv": "level\n1\n2\n"}, {}, "no separator gives its lines two fields"),
        ({"a.csv": f"date,level_m\n{TWO_DAYS}2024-01-03,x7\n" + "2024-02-01,3\n" * 60}, {}, "'x7' in column 'level_m'"),
        ({"a.csv": "date,note\n2024-01-01,dry\n2024-01-02,wet\n"}, {}, "no line with a date and a number"),
        ({"a.csv": f"date,level_m\n{TWO_DAYS}2024-01-03,3\nunknown,6\n"}, {}, "line 5: 'unknown' in column 'date' is"),
        ({"a.csv": f"date,level_m\n{TWO_DAYS}2024-01-03,3\n2024-13-01,6\n"}, {}, "line 5: '2024-13-01' in column"),
        ({"a.csv": f"date,level_m\n{TWO_DAYS},6\n"}, {}, "line 4 has a number but no date"),
        ({"a.csv": "date,level_m\n01/02/2024,1\n25/02/2024,2\n02/25/2024,3\n"}, {}, "'02/25/2024' in column 'date'"),
        ({"a.csv": "date,level_m\n2024-01-01,1,5\n2024-01-02,2,6\n"}, {}, "line 2 has 3 fields where the header"),
        ({"a.csv": "day,2019,2020\n01-Jan,1,2\n02-Jan,2,3\n"}, {}, "has a column per year (2019, 2020"),
        ({"a.csv": f"year,month,{','.join(map(str, range(1, 32)))}\n2020,1{',7' * 31}\n"}, {}, "per day of"),
        ({"a.csv": "date,Lake A,\n,level_m,rain_mm\n2024-01-01,1,2\n2024-01-02,2,3\n"}, {}, "column 1 has values such"),
        ({"a.csv": "date,level_m,rain_mm\n2024-01-01,1,<2\n2024-01-02,2,3\n"}, {}, "line 2: '<2' in column"),
        ({"a.csv": "date,level_m,rain_mm\n2024-01-01,1,(2)\n2024-01-02,2,3\n"}, {}, "(2); what do they mean: negative"),
        ({"a.csv": "date,level_m\n2024-01,1\n2024-02,2\n"}, {}, "its last one has '2024-02', '2'"),
        ({"a.csv": f"date,level_m\n{TWO_DAYS}", "a.txt": f"date,level_m\n{TWO_DAYS}"}, {}, "have the same name"),
        ({"a.csv": f"date,level_m\n{TWO_DAYS}", "b.csv": "date,level_m\n2025-01-01,1\n"}, {}, "are they one"),
        ({"a.csv": "date,level_m\n2024-01-01,1\n2024-01-02,2\n"}, {"latitude": "95"}, "allowed are -90 to 90"),
        ({"a.csv": "date,level_m\n2024-01-01,1\n2024-01-02,2\n"}, {"full_supply": "full"}, "is not a number"),
    ],
)  # fmt: skip
def test_bad_input_has_one_sentence(
    files: dict[str, str], settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ForebayError) as error:
        draft_from(tmp_path, files, settings=settings)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "settings"),
    [(("level_2023.csv", "level_2024.csv"), {}), (("old.csv", "new.csv"), {"new:record": "one"})],
)
def test_files_of_successive_years_are_one_record(
    files: tuple[str, str], settings: dict[str, str], tmp_path: Path
) -> None:
    """Files whose names differ in the year only, or that the user joins, are one gauge with two paths."""
    head = "date,level_m\n"
    contents = dict(zip(files, (f"{head}2023-12-30,1\n2023-12-31,2\n", f"{head}2024-01-01,3\n"), strict=True))
    dam = dam_of(draft_from(tmp_path, contents, settings=settings), tmp_path)
    (gauge,) = dam.gauges
    assert gauge.file is not None
    assert [Path(path).name for path in gauge.file.paths] == list(files)
    assert daily_of(dam, tmp_path)["reservoir_level"].to_list() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("text", ["n/a", ""])
def test_first_line_without_a_number_is_no_header(text: str, tmp_path: Path) -> None:
    """Missing values at the start of the record: the line below the title line is still the header."""
    rows = f"Lake,of hills\ndate,level_m\n2023-12-30,{text}\n2023-12-31,n/a\n{TWO_DAYS}"
    assert text_form(rows.encode(), "a.csv").header_line == 2
    assert draft_from(tmp_path, {"a.csv": rows}).gauges[0].series.name == "level_m"


def test_first_line_with_a_remark_is_no_header(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'<1.2 e' in column 'level_m'"):
        draft_from(tmp_path, {"b.csv": f"date,level_m\n2023-12-31,<1.2 e\n{TWO_DAYS}"})


def test_files_of_one_period_are_not_joined(tmp_path: Path) -> None:
    rows = f"date,level_m\n{TWO_DAYS}"
    with pytest.raises(ConfigError, match="Which column is the level") as error:
        draft_from(tmp_path, {"dam_2023.csv": rows, "dam_2024.csv": rows})
    assert "dam_2024:level_m" in str(error.value)


def test_percent_sign_in_the_cells_decides(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("date,storage\n2024-01-01,50.5%\n2024-01-02,51.5%\n")
    answers = Answers(ask=lambda question: question.default or pytest.fail(f"asks {question.text}"))
    draft = draft_dam("lake", [str(path)], answers, folder=tmp_path, now=NOW)
    assert (draft.gauges[0].variable, draft.gauges[0].unit) == ("storage_percent", "%")


def test_numbers_name_stations(tmp_path: Path) -> None:
    rows = "date,410730,410731\n2024-01-01,1,5\n2024-01-02,2,6\n"
    draft = draft_from(tmp_path, {"a.csv": rows}, settings={"target": "410731", "410731.unit": "m"})
    assert daily_of(dam_of(draft, tmp_path), tmp_path)["reservoir_level"].to_list() == [5.0, 6.0]


def test_column_of_other_texts_can_be_left_out(tmp_path: Path) -> None:
    rows = "date,level_m,rain_mm\n2024-01-01,1,(2)\n2024-01-02,2,3\n"
    draft = draft_from(tmp_path, {"a.csv": rows}, settings={"rain_mm.variable": "ignore"})
    assert [gauge.variable for gauge in draft.gauges] == ["reservoir_level"]


def test_workbook_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(ConfigError, match=r"needs the extra excel: install forebay\[excel\], or save it as CSV"):
        draft_from(tmp_path, {"level.xlsx": b"PK"})


def test_text_of_the_draft_keeps_every_reason(tmp_path: Path) -> None:
    """Unknown full supply is never estimated: the file says what lacks without it."""
    draft = draft_from(tmp_path, {"level.csv": "date,level_m\n" + "\n".join(lines(40))})
    content = tomllib.loads(draft.text)
    assert "full_supply" not in content
    assert "# full_supply is not known: without it, there is no chance of reaching full supply" in draft.text
    assert 'unit = "m"  # its name' in draft.text
    content = "date,level_m\n" + "\n".join(lines(40))
    stated = draft_from(tmp_path, {"level.csv": content}, settings={"full_supply": "440"})
    assert tomllib.loads(stated.text)["full_supply"] == 440.0


@pytest.mark.parametrize(
    ("encoding", "header"),
    [
        ("cp1251", "Дата;Уровень воды"), ("shift-jis", "日付;貯水位"), ("cp1252", "Fecha;Nivel de presión"),
        ("utf-16", "날짜;수위"),
    ],
)
def test_encoding_of_the_names(encoding: str, header: str, tmp_path: Path) -> None:
    """The target's column is asked by its name, which is readable."""
    rows = "\n".join(f"2024-01-{day:02};{400 + day}.5" for day in range(1, 29))
    column = header.split(";")[1]
    settings = {"target": column, f"{column}.unit": "m"}
    draft = draft_from(tmp_path, {"level.csv": f"{header}\n{rows}".encode(encoding)}, settings=settings)
    dam = dam_of(draft, tmp_path)
    assert dam.target_gauge.file is not None
    assert dam.target_gauge.file.value == column
    assert daily_of(dam, tmp_path)["reservoir_level"][0] == 401.5


def test_stated_encoding_replaces_the_conclusion(tmp_path: Path) -> None:
    rows = "\n".join(f"2024-01-{day:02};{400 + day}.5" for day in range(1, 29))
    settings = {"target": "水位", "水位.unit": "m", "level:encoding": "gb18030"}
    draft = draft_from(tmp_path, {"level.csv": f"日期;水位\n{rows}".encode("gb18030")}, settings=settings)
    assert 'encoding = "gb18030"' in draft.text


def test_workbook(tmp_path: Path) -> None:
    """Title rows, real dates, numbers and text cells of a sheet, which is asked if there are two."""
    xlsxwriter = pytest.importorskip("xlsxwriter")
    path = tmp_path / "levels.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        days = book.add_format({"num_format": "dd/mm/yyyy"})
        for name, first in (("Old", 337.5), ("Readings", 437.5)):
            sheet = book.add_worksheet(name)
            sheet.write(0, 0, "Levels of the lake")
            sheet.write_row(2, 0, ["Date", "Level (m)", "Rain mm"])
            for n in range(60):
                sheet.write_datetime(3 + n, 0, datetime(2024, 1, 1) + timedelta(days=n), days)
                sheet.write(3 + n, 1, first - n / 100)
                sheet.write(3 + n, 2, "n/a" if n == 7 else n / 10)
    answers = Answers({"levels:sheet": "Readings"}, accept_defaults=True)
    draft = draft_dam("lake", [str(path)], answers, folder=tmp_path, now=NOW)
    table = daily_of(dam_of(draft, tmp_path), tmp_path)
    assert table["date"].to_list() == [date(2024, 1, 1) + timedelta(days=n) for n in range(60)]
    assert table["reservoir_level"].to_list() == pytest.approx([437.5 - n / 100 for n in range(60)])
    assert table.filter(pl.col("rainfall_Rain_mm").is_null())["date"].to_list() == [date(2024, 1, 8)]
    with pytest.raises(ConfigError, match=r"Which sheet of .* has the readings: Old, Readings; answer with --set"):
        draft_dam("lake", [str(path)], Answers(accept_defaults=True), folder=tmp_path, now=NOW)


def test_workbook_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read as an Excel workbook"):
        draft_from(tmp_path, {"level.xlsx": b"PK\x03\x04 nothing"})


def test_long_table_of_variables(tmp_path: Path) -> None:
    """A line per date and parameter: each parameter is a gauge of its own, with its unit."""
    rows = [f"2024-01-{d:02},STORAGE,{3000 + d},AF\n2024-01-{d:02},RAIN,{d / 10},INCHES" for d in range(1, 29)]
    draft = draft_from(tmp_path, {"level.csv": "DATE,SENSOR_TYPE,VALUE,UNITS\n" + "\n".join(rows)})
    dam = dam_of(draft, tmp_path)
    assert {(g.role, g.variable, g.unit) for g in dam.gauges} == {
        ("target", "storage", "ac-ft"), ("rainfall", "rainfall", "in"),
    }  # fmt: skip
    table = daily_of(dam, tmp_path)
    assert table["storage"].to_list() == pytest.approx([3000.0 + d for d in range(1, 29)])
    assert table["rainfall_RAIN"].to_list() == pytest.approx([25.4 * d / 10 for d in range(1, 29)])


def test_utc_stamps_need_the_zone_of_the_dam(tmp_path: Path) -> None:
    stamps = [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(24 * 20)]
    content = "time,level_m\n" + "\n".join(f"{t:%Y-%m-%dT%H:%M:%SZ},{437 + t.hour / 100:.2f}" for t in stamps)
    with pytest.raises(ConfigError, match="the days of these stamps depend on it"):
        draft_from(tmp_path, {"level.csv": content}, settings={"level:stamp": "instant"})
    settings = {"level:stamp": "instant", "time_zone": "+10:00"}
    dam = dam_of(draft_from(tmp_path, {"level.csv": content}, settings=settings), tmp_path)
    table = daily_of(dam, tmp_path)
    assert table["date"].to_list()[:2] == [date(2024, 1, 1), date(2024, 1, 2)]  # the first stamp is 10:00 local
    assert table["reservoir_level"][1] == pytest.approx(437.115)
    assert table["date"][-1] == date(2024, 1, 21)


def test_offset_of_the_stamps_is_the_zone(tmp_path: Path) -> None:
    stamps = [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(24 * 5)]
    content = "time,level_m\n" + "\n".join(f"{t:%Y-%m-%dT%H:%M:%S}+10:00,{437 + t.hour / 100:.2f}" for t in stamps)
    draft = draft_from(tmp_path, {"level.csv": content}, settings={"level:stamp": "instant"})
    assert tomllib.loads(draft.text)["time_zone"] == "+10:00"
    assert daily_of(dam_of(draft, tmp_path), tmp_path)["date"][0] == date(2024, 1, 1)


@pytest.mark.parametrize(
    ("stamp", "first", "keys"),
    [
        ("start", "2024-01-02", {"day_start": "08:00"}),
        ("end", "2024-01-01", {"day_start": "08:00", "stamp": "end"}),
        ("instant", "2024-01-01", {"reading": "instantaneous", "reading_at": "08:00"}),
    ],
)
def test_one_clock_time_a_day_is_asked(stamp: str, first: str, keys: dict[str, str], tmp_path: Path) -> None:
    """What 08:00 names decides which day a number belongs to; a day from 08:00 on has the date of its end."""
    content = "time,level_m\n" + "\n".join(f"2024-01-{d:02} 08:00,{437 + d / 100:.2f}" for d in range(1, 29))
    with pytest.raises(ConfigError, match=r"What does the time 08:00 in level name: start \(.*end \(.*instant \("):
        draft_from(tmp_path, {"level.csv": content})
    draft = draft_from(tmp_path, {"level.csv": content}, settings={"level:stamp": stamp})
    (gauge,) = tomllib.loads(draft.text)["gauges"]
    assert keys.items() <= gauge.items()
    assert str(daily_of(dam_of(draft, tmp_path), tmp_path)["date"][0]) == first


def test_date_and_time_of_two_columns(tmp_path: Path) -> None:
    stamps = [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(24 * 5)]
    content = "Date,Time,level_m\n" + "\n".join(f"{t:%d/%m/%Y},{t:%H:%M},{437 + t.hour / 100:.2f}" for t in stamps)
    content += "\n13/01/2024,00:00,437.00"
    draft = draft_from(tmp_path, {"level.csv": content}, settings={"level:stamp": "start"})
    table = daily_of(dam_of(draft, tmp_path), tmp_path)
    assert table["reservoir_level"][0] == pytest.approx(437.115)


@pytest.mark.parametrize("is_next_day", [False, True])
def test_computed_inflow_is_left_out(is_next_day: bool, tmp_path: Path) -> None:
    """With the change to the next line, the storage of a line is that at the start of its day."""
    numbers = random.Random(3)
    storage = [300_000.0]
    for _ in range(120):
        storage.append(storage[-1] + numbers.gauss(0, 900))
    rows = ["date,storage_ML,inflow_ML,release_ML"]
    for n in range(1, 120):
        release = 100 + n
        change = storage[n + 1] - storage[n] if is_next_day else storage[n] - storage[n - 1]
        rows.append(f"{date(2024, 1, 1) + timedelta(days=n)},{storage[n]:.1f},{change + release:.1f},{release}")
    draft = draft_from(tmp_path, {"level.csv": "\n".join(rows)})
    dam = dam_of(draft, tmp_path)
    assert [gauge.role for gauge in dam.gauges] == ["target", "release"]
    assert dam.target_gauge.stamp == ("end" if is_next_day else "start")


@pytest.mark.parametrize(("name", "roles"), [("inflow_ML", ["target", "inflow"]), ("net_inflow_ML", ["target"])])
def test_measured_inflow_stays(name: str, roles: list[str], tmp_path: Path) -> None:
    """An inflow with errors of its own is a driver; one that is computed by its name is none."""
    numbers = random.Random(3)
    storage = [300_000.0]
    for _ in range(120):
        storage.append(storage[-1] + numbers.gauss(0, 900))
    rows = [f"date,storage_ML,{name}"]
    for n in range(1, 121):
        inflow = storage[n] - storage[n - 1] + numbers.gauss(0, 200)
        rows.append(f"{date(2024, 1, 1) + timedelta(days=n)},{storage[n]:.1f},{inflow:.1f}")
    dam = dam_of(draft_from(tmp_path, {"level.csv": "\n".join(rows)}), tmp_path)
    assert [gauge.role for gauge in dam.gauges] == roles


def draft_without_a_question(folder: Path, files: Mapping[str, str | bytes]) -> DamDraft:
    """Draft of files in UTC; a question is a failure of the test."""
    try:
        return draft_from(folder, files, settings={"time_zone": "+00:00"})
    except ConfigError as error:
        pytest.fail(str(error))


def days(count: int, first: date = date(2020, 1, 1)) -> list[date]:
    return [first + timedelta(days=k) for k in range(count)]


def test_two_columns_of_different_dates_are_a_question(tmp_path: Path) -> None:
    lines = [f"{day},{day + timedelta(days=2)},{100 + k % 7 / 10}" for k, day in enumerate(days(30))]
    files = {"lake.csv": "\n".join(["Date,Date published,Level (m)", *lines])}
    with pytest.raises(ConfigError, match="Which column of lake has the dates of the readings") as caught:
        draft_from(tmp_path, files)
    assert "lake:date" in str(caught.value)
    place = {"lake:date": "Date published", "time_zone": "+00:00"}
    dam = dam_of(draft_from(tmp_path, files, settings=place), tmp_path)
    assert dam.target_gauge.file is not None and dam.target_gauge.file.date == "Date published"
    lines = [f"{day},{day},{100 + k % 7 / 10}" for k, day in enumerate(days(30))]
    same = {"lake.csv": "\n".join(["Date,Date copy,Level (m)", *lines])}
    equal = dam_of(draft_from(tmp_path, same, settings={"time_zone": "+00:00"}), tmp_path)
    assert equal.target_gauge.file is not None and equal.target_gauge.file.date == "Date"


@pytest.mark.parametrize(("unit", "column"), [("ft", "Units"), ("m", "unidad"), ("ft", "UOM")])
def test_the_unit_stands_in_a_column_of_its_own(tmp_path: Path, unit: str, column: str) -> None:
    lines = [f"{day},{100 + k % 7 / 10},{unit}" for k, day in enumerate(days(30))]
    files = {"lake.csv": "\n".join([f"Date,Level,{column}", *lines])}
    assert dam_of(draft_without_a_question(tmp_path, files), tmp_path).target.unit == unit


def test_storages_as_large_as_day_numbers_are_no_dates(tmp_path: Path) -> None:
    """41,000 is 2 April 2012 in a spreadsheet: only a column that is named as dates has such day numbers."""
    curve = "\n".join(["Level (m),Storage (ML)", *(f"{100 + k},{41000 + 365 * k}" for k in range(12))])
    level = "\n".join(["Date,Level (m)", *(f"{day},{100 + k % 7 / 10}" for k, day in enumerate(days(30)))])
    dam = dam_of(draft_without_a_question(tmp_path, {"level.csv": level, "curve.csv": curve}), tmp_path)
    assert dam.storage_curves[0].points[0] == (100.0, 41000.0) and len(dam.storage_curves[0].points) == 12
    numbers = "\n".join(["Date,Level (m)", *(f"{43831 + k},{100 + k % 7 / 10}" for k in range(30))])
    again = dam_of(draft_from(tmp_path, {"level.csv": numbers}, settings={"time_zone": "+00:00"}), tmp_path)
    assert daily_of(again, tmp_path)["date"].to_list() == days(30)


@pytest.mark.parametrize(("answer", "stored"), [("none", None), ("waternsw", "waternsw")])
def test_codes_that_change_no_value_are_those_of_no_service(tmp_path: Path, answer: str, stored: str | None) -> None:
    lines = [f"{day},{100 + k % 7 / 10},{140 if k > 20 else 130}" for k, day in enumerate(days(30))]
    files = {"lake.csv": "\n".join(["Date,Level (m),Level (m)_cd", *lines])}
    settings = {"time_zone": "+00:00", "Level (m).quality_codes": answer}
    gauge = dam_of(draft_from(tmp_path, files, settings=settings), tmp_path).target_gauge
    assert gauge.file is not None and gauge.file.quality == "Level (m)_cd" and gauge.file.quality_codes == stored


def test_a_curve_of_capacities_with_decimal_commas(tmp_path: Path) -> None:
    curve = "\n".join(["Level (m);Capacity (ML)", *(f"{100 + k},5;{1200 + 365 * k},25" for k in range(12))])
    level = "\n".join(["Date,Level (m)", *(f"{day},{100 + k % 7 / 10}" for k, day in enumerate(days(30)))])
    files = {"level.csv": level, "curve.csv": curve}
    dam = dam_of(draft_without_a_question(tmp_path, files), tmp_path)
    assert dam.storage_curves[0].points[:2] == ((100.5, 1200.25), (101.5, 1565.25))


def test_hours_without_a_24th_are_a_question(tmp_path: Path) -> None:
    stamps = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(240)]
    rows = [f"{stamp:%Y-%m-%d %H:%M},{100 + k % 7 / 10}" for k, stamp in enumerate(stamps)]
    with pytest.raises(ConfigError, match="What does a time in lake name, such as 00:00 of the first line"):
        draft_from(tmp_path, {"lake.csv": "\n".join(["Time,Level (m)", *rows])}, settings={"time_zone": "+00:00"})


@pytest.mark.parametrize(("bad", "is_error"), [(2, True), (3, False)])
def test_up_to_two_bad_cells_in_a_hundred_are_errors_of_a_column_of_numbers(bad: int, is_error: bool) -> None:
    column = pl.Series("flow", [*["12.5"] * (100 - bad), *[f"1{k}-7-3" for k in range(bad)]])
    if is_error:
        with pytest.raises(SourceError, match="'10-7-3' in column 'flow' is not a number, unlike its other cells"):
            number_texts(column)
    else:
        assert number_texts(column) is None


def test_a_leading_zero_is_no_thousand() -> None:
    """0.512 cannot be 512 with a mark of thousands; 1.512 can."""
    for texts, is_open in ((["0.512", "1.498"], False), (["2.512", "1.498"], True)):
        numbers = number_texts(pl.Series("flow", texts))
        assert numbers is not None
        marks = {(one.decimal_comma, one.thousands) for one in numbers.readings}
        assert ((True, ".") in marks) is is_open and (False, None) in marks


@pytest.mark.parametrize(("count", "is_used"), [(62, False), (61, True)])
def test_an_inflow_that_is_the_change_of_storage_alone_is_left_out(tmp_path: Path, count: int, is_used: bool) -> None:
    """No release is known: the change to each day is its inflow, which 60 days with a change before and after show."""
    rng = random.Random(5)
    storage = [5000.0]
    while len(storage) < count:
        storage.append(round(storage[-1] + rng.uniform(-90, 90), 3))
    inflow = [0.0, *((after - before) / 86.4 for before, after in zip(storage, storage[1:], strict=False))]
    lines = [f"{day},{one},{flow:.6f}" for day, one, flow in zip(days(count), storage, inflow, strict=True)]
    draft = draft_without_a_question(tmp_path, {"lake.csv": "\n".join(["Date,Storage (ML),Inflow (m3/s)", *lines])})
    assert (dam_of(draft, tmp_path).columns("inflow") != []) is is_used


@pytest.mark.parametrize("offset", ["-03:30", "+05:45", "-08:00"])
def test_stamps_at_one_clock_time_of_an_offset_are_days(tmp_path: Path, offset: str) -> None:
    """All stamps are 06:00 of their own offset, also where this is negative with half an hour."""
    rows = [f"{day}T06:00:00{offset},{100 + k % 7 / 10}" for k, day in enumerate(days(30))]
    files = {"lake.csv": "\n".join(["Time,Level (m)", *rows])}
    with pytest.raises(ConfigError, match="What does the time 06:00 in lake name"):
        draft_from(tmp_path, files, settings={"time_zone": offset})
