"""`forebay new` on files as offices export them: the fetch of the draft has the true values, or a sentence refuses."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from forebay.archive.fetch import FetchRequest, fetch_dam
from forebay.archive.store import open_archive
from forebay.dams.dam_file import load_dam
from forebay.days.daily import daily_table
from forebay.draft.answers import Answers
from forebay.draft.dam import DamDraft, draft_dam
from forebay.draft.unit_names import unit_of_name
from forebay.errors import ForebayError
from forebay.settings import Settings

NO_VALUE = -1e6
NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAYS = [date(2023, 12, 20) + timedelta(days=n) for n in range(80)]
"""With 29 February."""
LEVELS = [437.20 + n % 30 / 50 for n in range(80)]
RAIN = [n % 7 * 1.5 for n in range(80)]
STORAGES = [1234.5 + 3 * n for n in range(80)]

MONTHS = {12: "déc.", 1: "janv.", 2: "févr.", 3: "mars"}


def comma(number: float, digits: int = 2) -> str:
    return f"{number:.{digits}f}".replace(".", ",")


def german(number: float) -> str:
    return f"{number:,.1f}".translate(str.maketrans(",.", ".,"))


def lakh(number: float) -> str:
    digits = str(int(number))
    head, groups = digits[:-3], [digits[-3:]]
    while head:
        head, group = head[:-2], head[-2:]
        groups.insert(0, group)
    return ",".join(groups)


def thai(day: date) -> str:
    return f"{day.day:02}/{day.month:02}/{day.year + 543}"


def file(header: str, row: Callable[[int], str], *, footer: str = "") -> str:
    """A file of the days: its text above the first row, and a row for each n."""
    return header + "".join(f"{row(n)}\n" for n in range(len(DAYS))) + footer


@dataclass(frozen=True)
class Export:
    """A file of an office, and what its draft must have: series (role) → true canonical values of the days."""

    text: str
    expected: Mapping[str, list[float | None]]
    encoding: str = "utf-8"
    settings: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, object] = field(default_factory=dict)
    """Keys of the target's file that the draft must have."""


EXPORTS = {
    "french office with averages and a source below": Export(
        file(
            "Barrage de l'Exemple\nDate;Cote (m NGF);Débit sortant (m³/s)\n",
            lambda n: f"{DAYS[n]:%d/%m/%Y};{comma(LEVELS[n])};{comma(n)}",
            footer="Moyenne;437,5;8,0\nMaximum;438;12\nSource : exploitant, édité le 12/03/2024\n",
        ),
        {"target": LEVELS, "release": [float(n) for n in range(80)]},
        "cp1252",
        keys={"comment": ["Moyenne", "Maximum", "Source : exploitant, édité le"], "encoding": "windows-1252"},
    ),
    "german office with a separator at each line's end": Export(
        file(
            "Datum;Wasserstand [m ü. NHN];Inhalt [Tsd. m³]\n",
            lambda n: f"{DAYS[n]:%d.%m.%Y};{comma(LEVELS[n])};{german(STORAGES[n])};",
            footer="-- Letzte Zeile --\n",
        ),
        {"target": LEVELS, "storage": STORAGES},
        "cp1252",
    ),
    "thai office with Buddhist years": Export(
        file("\ufeffวันที่,ระดับน้ำ (ม.รทก.),ปริมาณน้ำฝน (มม.)\n", lambda n: f"{thai(DAYS[n])},{LEVELS[n]:.2f},{RAIN[n]}"),
        {"target": LEVELS, "rainfall": RAIN},
        keys={"calendar": "buddhist", "date_format": "%d/%m/%Y"},
    ),
    "indian office with full reservoir level and lakh": Export(
        file(
            "Sl No,Date,FRL (m),Level (m),Storage (m3)\n",
            lambda n: f'{n + 1},{DAYS[n]:%d-%b-%Y},440.00,{LEVELS[n]:.2f},"{lakh(STORAGES[n] * 1000)}"',
        ),
        {"target": LEVELS, "storage": STORAGES},
    ),
    "bureau with a header in the comments": Export(
        file(
            "# STATION_ID: 212210\n# PARAMETER: Storage Level [m]\n#Timestamp;Level (m);Quality Code\n",
            lambda n: f"{DAYS[n]}T09:00:00.000+10:00;{LEVELS[n]:.3f};10",
        ),
        {"target": LEVELS},
        settings={"export:stamp": "instant"},
        keys={"header_line": 3, "comment": "#", "date": "#Timestamp"},
    ),
    "open-data portal with a quality column": Export(
        file(
            "X,Y,OBJECTID,date_time,level_m,quality_flag\n",
            lambda n: f"150.6,-33.9,{n},{DAYS[n]:%Y/%m/%d} 00:00:00+00,{LEVELS[n]:.2f},{'susp' if n == 5 else 'ok'}",
        ),
        {"target": [*LEVELS[:5], None, *LEVELS[6:]]},
        settings={"level_m.quality_codes": "missing=susp", "time_zone": "+00:00"},
    ),
    "control system with sentences instead of values": Export(
        file(
            "Timestamp\tDAM:LEVEL.M\tDAM:RAIN.MM\n",
            lambda n: f"{DAYS[n]:%d-%b-%y} 00:00:00\t"
            f"{'[-11059] No Good Data For Calculation' if n == 5 else f'{LEVELS[n]:.4f}'}\t{RAIN[n]}",
        ),
        {"target": [*LEVELS[:5], None, *LEVELS[6:]], "rainfall": RAIN},
    ),
    "columns aligned with blanks": Export(
        file("   DATE     LEVEL_M   RAIN_MM\n", lambda n: f" {DAYS[n]:%d%b%Y}  {LEVELS[n]:8.2f}  {RAIN[n]:8.1f} "),
        {"target": LEVELS, "rainfall": RAIN},
        keys={"separator": " "},
    ),
    "hungarian office with a point after the date": Export(
        file("Dátum;Vízszint (cm);Csapadék (mm)\n", lambda n: f"{DAYS[n]:%Y.%m.%d}.;{n + 90};{comma(RAIN[n], 1)}"),
        {"target": [(n + 90) / 100 for n in range(80)], "rainfall": RAIN},
    ),
    "japanese office": Export(
        file(
            "年月日,貯水位(m),貯水量(千m3)\n",
            lambda n: f"{DAYS[n].year}年{DAYS[n].month}月{DAYS[n].day}日,{LEVELS[n]:.2f},{STORAGES[n]}",
        ),
        {"target": LEVELS, "storage": STORAGES},
        "shift-jis",
    ),
    "turkish office": Export(
        file("Tarih;Seviye (m);Hacim (hm3)\n",
             lambda n: f"{DAYS[n]:%d.%m.%Y};{comma(LEVELS[n])};{comma(STORAGES[n], 1)}"),
        {"target": LEVELS, "storage": [1000 * one for one in STORAGES]},
    ),
    "spanish office with the time in a column": Export(
        file("Fecha;Hora;Nivel (msnm)\n", lambda n: f"{DAYS[n]:%d/%m/%Y};08:00;{comma(LEVELS[n])}"),
        {"target": LEVELS},
        settings={"export:stamp": "instant"},
        keys={"date": ["Fecha", "Hora"]},
    ),
    "remarks after some numbers": Export(
        file("date,level_m,rain_mm\n", lambda n: f"{DAYS[n]},{LEVELS[n]:.2f}{' e' if n == 4 else ''},{RAIN[n]}"
             f"{'*' if n == 6 else ''}"),
        {"target": LEVELS, "rainfall": [*RAIN[:6], None, *RAIN[7:]]},
        settings={"level_m.remarks": "number", "rain_mm.remarks": "missing"},
        keys={"remarks": ["e"]},
    ),
    "negative numbers in brackets": Export(
        file("Date,Level (m),Inflow (m3/s)\n", lambda n: f"{DAYS[n]:%d-%b-%Y},{LEVELS[n]:.2f},"
             f"{f'({n}.5)' if n % 9 == 2 else n}"),
        {"target": LEVELS, "inflow": [-n - 0.5 if n % 9 == 2 else float(n) for n in range(80)]},
        settings={"Inflow (m3/s).brackets": "negative"},
    ),
    "brackets as a remark": Export(
        file("Date,Level (m)\n", lambda n: f"{DAYS[n]},{f'({LEVELS[n]:.2f})' if n % 9 == 2 else f'{LEVELS[n]:.2f}'}"),
        {"target": LEVELS},
        settings={"Level (m).brackets": "number"},
    ),
    "names of weekdays in the dates": Export(
        file("Date,Level (m)\n", lambda n: f'"{DAYS[n]:%a, %d %b %Y}",{LEVELS[n]:.2f}'),
        {"target": LEVELS},
        keys={"date_format": "%a, %d %b %Y"},
    ),
    "american office with weekdays and a total": Export(
        file(
            "Day,Date,Level (ft),Storage (AF)\n",
            lambda n: f'{DAYS[n]:%a},{DAYS[n].month}/{DAYS[n].day}/{DAYS[n].year},{LEVELS[n]:.2f},"{n + 1000:,}"',
            footer='Total,,,"83,160"\n',
        ),
        {"target": [0.3048 * one for one in LEVELS], "storage": [(n + 1000) * 1.23348183754752 for n in range(80)]},
        keys={"comment": "Total"},
    ),
    "midnight as 12:00:00 AM": Export(
        file("Date/Time,Pool Elevation (ft)\n", lambda n: f"{DAYS[n].month}/{DAYS[n].day}/{DAYS[n].year} 12:00:00 AM,"
             f"{LEVELS[n]:.2f}"),
        {"target": [0.3048 * one for one in LEVELS]},
    ),
    "unicode text of a spreadsheet": Export(
        file("Fecha\tCota (m)\tLluvia (mm)\n", lambda n: f"{DAYS[n]:%d/%m/%Y}\t{comma(LEVELS[n])}\t{comma(RAIN[n])}"),
        {"target": LEVELS, "rainfall": RAIN},
        "utf-16",
    ),
    "pages with repeated headers": Export(
        file("Page 1\ndate,level_m\n",
             lambda n: f"{DAYS[n]},{LEVELS[n]:.2f}" + ("\nPage 2\ndate,level_m" if n == 40 else ""), footer="Page 3\n"),
        {"target": LEVELS},
        keys={"header_line": 2, "comment": ["Page", "date"]},
    ),
    "french months with points": Export(
        file("Date;Niveau (m)\n", lambda n: f"{DAYS[n].day} {MONTHS[DAYS[n].month]} {DAYS[n].year};{comma(LEVELS[n])}"),
        {"target": LEVELS},
    ),
    "sensor database with tags": Export(
        file("TagName;Timestamp;Value;Quality\n", lambda n: f"LT101.PV;{DAYS[n]} 00:00:00.000;{LEVELS[n]:.2f};192\n"
             f"RG01.PV;{DAYS[n]} 00:00:00.000;{RAIN[n]};192"),
        {"target": LEVELS, "rainfall": RAIN},
        settings={
            "export:where.TagName": "each", "target": "LT101.PV Value", "LT101.PV Value.unit": "m",
            "RG01.PV Value.variable": "rainfall", "RG01.PV Value.unit": "mm",
        },
    ),
    "ids of stations as names of columns": Export(
        file("Date,410730,410731\n", lambda n: f"{DAYS[n]},{n},{LEVELS[n]:.2f}"),
        {"target": LEVELS},
        settings={"target": "410731", "410731.unit": "m"},
    ),
    "remarks with separators, quotes and digits below": Export(
        file("date,level_m\n", lambda n: f"{DAYS[n]},{LEVELS[n]:.2f}",
             footer='\n"Note: gauge 2, rebuilt, in 2019"\n,\n'),
        {"target": LEVELS},
        keys={"comment": "Note: gauge"},
    ),
}  # fmt: skip


def draft_of(folder: Path, text: bytes, settings: Mapping[str, str]) -> DamDraft:
    (folder / "export.csv").write_bytes(text)
    answers = Answers(settings, accept_defaults=True)
    return draft_dam("lake", [str(folder / "export.csv")], answers, folder=folder, now=NOW)


@pytest.mark.parametrize("name", EXPORTS)
def test_the_fetch_of_the_draft_has_the_true_values(name: str, tmp_path: Path) -> None:
    export = EXPORTS[name]
    try:
        draft = draft_of(tmp_path, export.text.encode(export.encoding), export.settings)
    except ForebayError as error:
        raise AssertionError(f"refused or asked: {error}") from error
    (tmp_path / "lake.toml").write_text(draft.text, "utf-8")
    dam = load_dam(str(tmp_path / "lake.toml"))
    with open_archive(f"sqlite:///{tmp_path}/lake.db") as archive:
        assert not fetch_dam(dam, archive, settings=Settings(), request=FetchRequest(NOW)).errors
        table = daily_table(archive.as_of(dam.gauges), dam)
    assert table["date"].to_list() == DAYS
    for role, values in export.expected.items():
        (gauge,) = [gauge for gauge in dam.gauges if gauge.role == role]
        numbers = table[gauge.column]
        own = gauge.kind.to_canonical(numbers, dam.target.unit) if role == "target" else numbers
        assert own.fill_null(NO_VALUE).to_list() == pytest.approx(
            [NO_VALUE if one is None else one for one in values], rel=1e-9, abs=1e-9
        )
    file_keys = draft_keys(draft)
    assert {key: file_keys.get(key) for key in export.keys} == export.keys


def draft_keys(draft: DamDraft) -> dict[str, object]:
    """Keys of the target's file."""
    keys: dict[str, object] = tomllib.loads(draft.text)["gauges"][0]["file"]
    return keys


REFUSALS = {
    "yearbook": ("Day,2019,2020\n01-Jan,1,2\n02-Jan,2,3\n", "column per year (2019, 2020"),
    "day by month": (
        f"Day,Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec\n1{',7' * 12}\n2{',8' * 12}\n", "per month (Jan, Feb"
    ),
    "day by french month": (
        "Jour;janv.;févr.;mars;avr.;mai;juin;juil.;août;sept.;oct.;nov.;déc.\n" + f"1{';7,1' * 12}\n2{';8,2' * 12}\n",
        "column per month (janv.",
    ),
    "hydrological data base": (
        "Estacao;Data;" + ";".join(f"Cota{n:02}" for n in range(1, 32)) + "\n" + f"1;01/01/2023{';7,1' * 31}\n" * 2,
        "column per day of the month (Cota01",
    ),
    "json lines": ('{"date": "2024-01-01", "level": 1}\n', "is a JSON document"),
    "json": ('[{"date": "2024-01-01", "level": 1}]', "is a JSON document"),
    "seconds": ("time,level_m\n1703030400,1.5\n1703034000,1.6\n", "1703030400 looks like seconds since 1970"),
    "weeks": ("week,level_m\n2024-W01,1.5\n2024-W02,1.6\n", "a line per date like 2026-01-31 (not per week"),
    "decimal commas between commas": (
        "date,level_m\n01/02/2024,437,2\n13/02/2024,437,4\n", "another separator where the comma is the decimal mark"
    ),
    "header over two lines": (
        "Date,Lake A,Rain\n,Level,\n,m,mm\n2024-01-01,1.5,2\n2024-01-02,1.6,3\n", "name each column in one line"
    ),
    "reading without a date": ("date,level_m\n2024-01-01,1\n2024-01-02,2\n;,9\nunknown,3\n", "line 4: ';' in column"),
    "aligned columns with an empty field": (
        "DATE LEVEL_M RAIN_MM\n2024-01-01  1.5  2\n2024-01-02       3\n2024-01-03  1.5  2\n", "line 3: 2 fields where"
    ),
    "a text of readings that begins like a total": (
        "lake,date,level_m\nA,2024-01-01,1\nTotal,2024-01-02,2\nTotal,,3\n", "line 4 has a number but no date"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_form_that_cannot_be_read_has_one_sentence(name: str, tmp_path: Path) -> None:
    text, sentence = REFUSALS[name]
    with pytest.raises(ForebayError) as error:
        draft_of(tmp_path, text.encode(), {})
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ("2024-01-05,(3)", r"\(3\); what do they mean: negative \(-3, as in accounts\), number \(3 with a remark"),
        ("2024-01-05,3 e", r"have a remark \(e\), such as '3 e'; do they count: number .*, missing"),
    ],
)
def test_what_changes_numbers_is_asked(row: str, question: str, tmp_path: Path) -> None:
    """With --yes the error names both readings."""
    rows = "".join(f"2024-01-0{n},{n}.5\n" for n in range(1, 5))
    with pytest.raises(ForebayError, match=question):
        draft_of(tmp_path, f"date,level_m\n{rows}{row}\n".encode(), {})


def test_a_unit_after_some_numbers_is_no_remark(tmp_path: Path) -> None:
    """437 and 12 ft are not read as numbers of one unit."""
    rows = "".join(f"2024-01-0{n},{n}.5\n" for n in range(1, 9))
    with pytest.raises(ForebayError, match="line 10: '12 ft' in column 'level_m' is not a number"):
        draft_of(tmp_path, f"date,level_m\n{rows}2024-01-09,12 ft\n".encode(), {})


@pytest.mark.parametrize(
    ("name", "variable", "unit"),
    [
        ("Inhalt [Tsd. m³]", "storage", "ML"), ("Storage (10³ m³)", "storage", "ML"),
        ("storage_1000_m3", "storage", "ML"),
        ("Volumen (Mio. m³)", "storage", "hm3"), ("Storage x1000 ac-ft", "storage", "kac-ft"),
        ("Storage '000 ML", "storage", "GL"), ("Volume (Mil m3)", "storage", None), ("蓄水量(万m3)", "storage", None),
        ("Rain (1/10 mm)", "rainfall", None), ("Rain (mm/day)", "rainfall", "mm"),
        ("Level (m ü. NHN)", "reservoir_level", "m"),
        ("Volume (million gallons)", "storage", "MG"), ("ปริมาตร (ล้าน ลบ.ม.)", "storage", "hm3"),
    ],
)  # fmt: skip
def test_factor_of_a_unit(name: str, variable: str, unit: str | None) -> None:
    """A unit with a factor is never read without it."""
    assert unit_of_name(name, variable) == unit
