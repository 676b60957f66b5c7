"""`forebay.forecasts.record`: content and text of a record, its chain, the check of both, and the comparison."""

import hashlib
import json
import math
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from forebay.archive.records import NO_HASH
from forebay.dams.dam_content import dam_content, dam_of_content
from forebay.dams.dam_file import catalogue, load_dam
from forebay.errors import ConfigError, ForebayError
from forebay.forecasts.record import (
    add_to_chain,
    canonical,
    chain_faults,
    compare,
    forecast_content,
    forecast_table,
    parse_id,
    quality_mask,
    row_of,
    table_digest,
)
from forebay.screen.flags import FLAGS
from forebay.tables import FORECASTS, INSTANT, RECORDS
from tests import synthetic
from tests.record_oracle import problems
from tests.records import DAM, INIT, ISSUED_AT, chain, content, head_of
from tests.shared import PROJECT

CHAIN = chain(5)
DAILY = synthetic.daily(DAM).head(300)
DAMS = [*catalogue(), *sorted(str(path) for path in (PROJECT / "tests" / "dams").glob("*.toml"))]


def lines(rows: pl.DataFrame) -> bytes:
    """The rows as the file `records.jsonl`."""
    return "".join(f"{payload}\n" for payload in rows["payload"]).encode()


def test_a_chain_without_faults_has_none_by_both_checks() -> None:
    assert chain_faults([CHAIN], DAM.id) == []
    assert chain_faults(CHAIN.iter_slices(2), DAM.id) == []
    assert problems(lines(CHAIN), CHAIN["hash"][-1]) == []
    assert CHAIN["previous"].to_list() == [NO_HASH, *CHAIN["hash"][:-1]]
    assert CHAIN["replaces"].to_list() == [None, "synthetic-1", None, "synthetic-3", None]


def test_a_record_has_the_forecast_to_the_last_digit() -> None:
    table = synthetic.forecasts(DAM, synthetic.level_table(DAM, INIT, [95.1 / 3]), [INIT])
    record = json.loads(canonical({"forecast": forecast_content(table)} | {
        "dam": DAM.id, "init_date": "2024-05-01", "init_time": "2024-05-01T14:00:00.000000Z"}))  # fmt: skip
    assert_frame_equal(forecast_table(record), table.sort(FORECASTS.key), check_exact=True)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_any_float_survives_the_text(values: list[float]) -> None:
    again = json.loads(canonical(values))
    assert [math.copysign(1, x) for x in again] == [math.copysign(1, x) for x in values]
    assert again == values


# --- tampering --------------------------------------------------------------------------------------------------------

OTHER = {
    pl.String(): lambda text: "0" * 64 if text is None else text[:-1] + ("1" if text[-1] != "1" else "2"),
    pl.Int64(): lambda number: number + 1,
    pl.Boolean(): lambda flag: not flag,
    pl.Date(): lambda day: day + timedelta(days=1),
    INSTANT: lambda instant: instant + timedelta(microseconds=1),
}
"""Another value of each type of column."""


def with_value(rows: pl.DataFrame, number: int, column: str, value: object) -> pl.DataFrame:
    values = rows[column].to_list()
    values[number] = value
    return rows.with_columns(pl.Series(column, values, dtype=RECORDS.columns[column]))


@pytest.mark.parametrize("column", list(RECORDS.columns))
@given(number=st.integers(0, CHAIN.height - 1))
def test_a_change_of_any_column_is_a_fault(column: str, number: int) -> None:
    changed = with_value(CHAIN, number, column, OTHER[RECORDS.columns[column]](CHAIN[column][number]))  # type: ignore[no-untyped-call]  # lambdas
    assert chain_faults([changed], DAM.id), changed[column]


@settings(max_examples=30)
@given(number=st.integers(0, CHAIN.height - 1), data=st.data())
def test_a_change_of_any_byte_of_the_text_is_a_fault_by_both_checks(number: int, data: st.DataObject) -> None:
    text = CHAIN["payload"][number]
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from([chr(code) for code in range(32, 127) if chr(code) != text[place]]))
    for changed in (text[:place] + byte + text[place + 1 :], text[:place] + text[place + 1 :], text + byte):
        rows = with_value(CHAIN, number, "payload", changed)
        assert chain_faults([rows], DAM.id)
        assert problems(lines(rows), CHAIN["hash"][-1])


@given(number=st.integers(0, CHAIN.height - 2), level=st.floats(1, 99))
def test_a_changed_record_with_a_new_hash_does_not_fit_the_next_one(number: int, level: float) -> None:
    record = json.loads(CHAIN["payload"][number])
    record["forecast"]["level"][0] = level
    rows = pl.concat([CHAIN[:number], row_of(canonical(record)), CHAIN[number + 1 :]])
    assert any("does not follow" in fault for fault in chain_faults([rows], DAM.id))
    assert problems(lines(rows))


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda rows: rows[[0, 2, 1, 3, 4]], "is missing"),
        (lambda rows: rows[[0, 1, 3, 4]], "synthetic-3 is missing"),
        (lambda rows: rows[[0, 4]], r"synthetic-2 is missing \(up to synthetic-4\)"),
        (lambda rows: rows[[1, 2, 3, 4]], "synthetic-1 is missing"),
        (lambda rows: rows[[0, 1, 1, 2, 3, 4]], "occurs twice"),
        (lambda rows: pl.concat([rows, rows]), "occurs twice"),
    ],
)
def test_order_gaps_and_duplicates(change: Callable[[pl.DataFrame], pl.DataFrame], pattern: str) -> None:
    rows = change(CHAIN)
    assert any(pl.Series([fault]).str.contains(pattern).item() for fault in chain_faults([rows], DAM.id))
    assert problems(lines(rows))


def test_a_record_of_another_dam_is_a_fault() -> None:
    other = chain(2, dam=DAM.model_copy(update={"id": "other"}))
    assert chain_faults([other], "other") == []
    assert "other-1: it is a record of other, not of synthetic" in chain_faults([other], DAM.id)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"dam":1}', "x"])
def test_a_text_that_is_no_record_is_a_fault(text: str) -> None:
    from forebay.archive.records import content_hash

    row = CHAIN[:1].with_columns(pl.lit(text).alias("payload"), pl.lit(content_hash(text)).alias("hash"))
    assert chain_faults([row], DAM.id) == ["synthetic-1: its content is no record"]


def test_a_record_with_spaces_is_a_fault_even_with_its_own_hash() -> None:
    record = json.loads(CHAIN["payload"][0])
    row = row_of(json.dumps(record, sort_keys=True))
    assert chain_faults([row], DAM.id) == ["synthetic-1: its content is not in the form of a record"]
    record["dam_file"]["name"] = "Another"
    assert chain_faults([row_of(canonical(record))], DAM.id) == [
        "synthetic-1: its content is not in the form of a record"
    ]


# --- the clock --------------------------------------------------------------------------------------------------------


def step(seconds: float, clock_fault: str | None = None) -> pl.DataFrame:
    """A chain with a record whose clock went back by so many seconds."""
    now = CHAIN["recorded_at"][-1] - timedelta(seconds=seconds)
    record = content(now=ISSUED_AT)
    return pl.concat([CHAIN, add_to_chain(record, head_of(CHAIN, INIT, now), clock_fault=clock_fault)])


def test_a_small_step_of_the_clock_is_recorded() -> None:
    rows = step(600)
    assert json.loads(rows["payload"][-1])["clock_step_s"] == 600.0
    assert chain_faults([rows], DAM.id) == []
    assert problems(lines(rows)) == []
    assert json.loads(step(-1)["payload"][-1])["clock_step_s"] is None
    hidden = json.loads(rows["payload"][-1]) | {"clock_step_s": None}
    rows = pl.concat([CHAIN, row_of(canonical(hidden))])
    assert chain_faults([rows], DAM.id) == [
        "synthetic-6: it is older than the record before it, and no step of the clock is recorded"
    ]
    assert problems(lines(rows)) == ["line 6: time"]


def test_a_large_step_of_the_clock_is_an_error_that_says_what_to_do() -> None:
    sentence = (
        "the clock is at 2024-05-04 04:30:09 UTC, before the last record synthetic-5 of 2024-05-04 05:30:09 UTC; set "
        "the clock and run it again or, if the clock is right now, run it once with FOREBAY_CLOCK_FAULT=synthetic-5"
    )
    with pytest.raises(ForebayError, match=f"^{sentence}$"):
        step(3600)
    with pytest.raises(ForebayError, match="before the last record synthetic-5"):
        step(3600, "synthetic-4")
    rows = step(3600, "synthetic-5")
    assert chain_faults([rows], DAM.id) == []


def test_a_clock_ahead_of_the_archive_is_an_error() -> None:
    head = head_of(RECORDS.empty(), INIT, ISSUED_AT - timedelta(seconds=601))
    with pytest.raises(ForebayError, match="by this machine's clock, but the archive's clock is at 2024-05-02 01:19"):
        add_to_chain(content(), head)
    add_to_chain(content(), head_of(RECORDS.empty(), INIT, ISSUED_AT - timedelta(seconds=600)))


# --- replaces, ids ----------------------------------------------------------------------------------------------------


def test_a_retrospective_record_replaces_nothing_and_is_not_replaced() -> None:
    later = ISSUED_AT + timedelta(days=9)
    rows = pl.concat([CHAIN, add_to_chain(content(retrospective=True, now=later), head_of(CHAIN, INIT, later))])
    assert rows.row(-1, named=True)["replaces"] is None
    assert rows["retrospective"].to_list() == [False] * 5 + [True]
    again = add_to_chain(content(now=later), head_of(rows, INIT, later))
    assert again["replaces"].to_list() == ["synthetic-2"]


def test_ids() -> None:
    assert parse_id("lake-1-2") == ("lake-1", 2)
    for text in ("lake", "-1", "lake-", "lake-x", "lake-²", "lake-" + "9" * 19):
        with pytest.raises(ConfigError, match="is no id; give one like demo-1"):
            parse_id(text)


# --- the comparison ---------------------------------------------------------------------------------------------------


def test_the_comparison_names_inputs_versions_and_the_largest_difference_per_lead() -> None:
    recorded, again = content(), content()
    assert compare(recorded, again).equal and compare(recorded, again).differences == ()
    again = deepcopy(again)
    place = next(
        k for k, (model, lead, quantile) in enumerate(zip(*(again["forecast"][key] for key in (
            "model", "lead_time", "quantile")), strict=True)) if (model, lead, quantile) == ("default", 3, 0.9)
    )  # fmt: skip
    again["forecast"]["level"][place] += 0.25
    again["inputs"] = {"known": "x", "newest": "b" * 64, "forcings": {"plan": "y"}}
    again["environment"] = {"forebay": "0.2.0", "machine": "arm64", "libraries": {"numpy": "3.0.0", "polars": "9"}}
    result = compare(recorded, again)
    assert not result.equal
    assert result.leads["lead_time"].to_list() == list(synthetic.LEADS)
    assert result.leads["difference"].to_list() == pytest.approx([0, 0, 0.25, 0, 0, 0, 0])
    text = "; ".join(result.differences)
    for part in ("as first published differs", "forcing plan", "machine was x86_64, is arm64",
                 "numpy was 2.4.6, is 3.0.0", "polars was not installed, is 9"):  # fmt: skip
        assert part in text
    assert "newest" not in text and "known at the issue time" not in text


def test_a_difference_in_another_model_is_a_difference() -> None:
    again = deepcopy(content())
    assert again["forecast"]["model"][0] == "climatology"
    again["forecast"]["change"][0] = float(np.nextafter(again["forecast"]["change"][0], 9))
    assert not compare(content(), again).equal


# --- digests and masks ------------------------------------------------------------------------------------------------


@given(st.data())
def test_the_digest_of_a_table_changes_with_every_value(data: st.DataObject) -> None:
    table = DAILY
    column = data.draw(st.sampled_from(table.columns))
    row = data.draw(st.integers(0, table.height - 1))
    values = table[column].to_list()
    old = values[row]
    if isinstance(old, float):
        new: object = data.draw(st.sampled_from([None, float(np.nextafter(old, 9e9))]))
    elif isinstance(old, date):
        new = old + timedelta(days=1)
    elif old is None:
        new = 0.0 if table[column].dtype == pl.Float64() else "poor"
    else:
        new = None if data.draw(st.booleans()) else f"{old} "
    values[row] = new
    changed = table.with_columns(pl.Series(column, values, dtype=table[column].dtype))
    assert table_digest(changed) != table_digest(table)
    assert table_digest(table.clone()) == table_digest(table)
    assert table_digest(table.rename({column: "x"})) != table_digest(table)


def test_the_quality_mask_has_spells_of_the_last_days() -> None:
    days = pl.date_range(INIT - timedelta(days=69), INIT, eager=True)
    flags = ["poor"] * 12 + [None] * 50 + ["absent"] * 3 + [None] * 2 + ["absent"] * 3
    daily = pl.DataFrame({"date": days, "level": [1.0] * 70, "level_flag": pl.Series(flags, dtype=pl.String)})
    screen = pl.DataFrame(
        [{"gauge": "level", "date": INIT, "reason": "spike", "known_on": INIT}], schema=FLAGS.columns
    )
    assert quality_mask(daily, screen, INIT) == [
        ["level", "2024-04-24", "2024-04-26", "absent"],
        ["level", "2024-04-29", "2024-05-01", "absent"],
        ["level", "2024-03-03", "2024-03-04", "poor"],
        ["level", "2024-05-01", "2024-05-01", "spike"],
    ]


# --- the dam file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DAMS)
def test_a_dam_is_the_same_after_its_record(name: str) -> None:
    dam = load_dam(name)
    text = canonical(dam_content(dam))
    again = dam_of_content(json.loads(text))
    assert [gauge.series for gauge in again.gauges] == [gauge.series for gauge in dam.gauges]
    assert canonical(dam_content(again)) == text
    different = [key for key in type(dam).model_fields if getattr(dam, key) != getattr(again, key)]
    assert set(different) <= {"gauges", "forcings"}, "paths, and the folders that an error may quote"


def test_a_recorded_dam_that_this_version_does_not_read_is_an_error() -> None:
    fields = dam_content(DAM) | {"from_the_future": 1}
    with pytest.raises(ConfigError, match="does not read the recorded dam file: from_the_future"):
        dam_of_content(fields)


def test_a_recorded_dam_has_no_secret() -> None:
    gauge = {"role": "target", "source": "kiwis", "station": "1", "variable": "reservoir_level", "unit": "m",
             "request": {"url": "https://me:hunter2@host.example/KiWIS?token=hunter3"}}  # fmt: skip
    text = canonical(dam_content(synthetic.small_dam(gauge)))
    assert "hunter" not in text and "host.example" in text


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = (PROJECT / "docs" / "record.md").read_text("utf-8")


def test_the_page_has_every_key_of_a_record() -> None:
    table = PAGE[PAGE.index("| key | value |") :].split("\n\n")[0]
    keys = {key for line in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert keys == set(json.loads(CHAIN["payload"][0]))


def test_the_program_of_the_page_checks_an_export(tmp_path: Path) -> None:
    (program,) = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
    path, head = tmp_path / "records.jsonl", CHAIN["hash"][-1]

    def run(content: bytes) -> subprocess.CompletedProcess[str]:
        path.write_bytes(content)
        command = [sys.executable, "-I", "-c", program, str(path), head]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run(lines(CHAIN)).stdout == f"5 records, head {head}\n"
    for rows in (CHAIN[[0, 2, 1, 3, 4]], CHAIN[:4], CHAIN[[0, 2, 3, 4]]):
        assert "AssertionError" in run(lines(rows)).stderr
    assert "AssertionError" in run(lines(CHAIN).replace(b"95.", b"94.", 1)).stderr


def test_the_digest_of_a_table_is_that_of_the_page() -> None:
    table = DAILY.select("date", "reservoir_level", "reservoir_level_flag")
    digest = hashlib.sha256()
    for name in table.columns:
        values = table[name].to_list()
        kind = {"date": "Date", "reservoir_level": "Float64"}.get(name, "String")
        digest.update(json.dumps([name, kind, len(values)], separators=(",", ":")).encode())
        digest.update(bytes(value is None for value in values))
        texts = sorted({value for value in values if isinstance(value, str)})
        if kind == "String":
            digest.update(json.dumps(texts, separators=(",", ":")).encode())
        for value in values:
            if isinstance(value, date):
                digest.update(struct.pack("<q", value.toordinal() - date(1970, 1, 1).toordinal()))
            elif kind == "Float64":
                digest.update(struct.pack("<d", 0.0 if value is None else value))
            else:
                digest.update(struct.pack("<q", 0 if value is None else texts.index(value)))
    assert table_digest(table) == digest.hexdigest()
