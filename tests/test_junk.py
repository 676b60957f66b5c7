"""Junk in each place of each recorded answer: a `SourceError` or a table, never another exception."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from forebay.errors import SourceError
from forebay.settings import HttpSettings
from forebay.sources.answers import answer_parser, json_of
from forebay.sources.cdec import parse_answer
from forebay.sources.cwms import parse as cwms
from forebay.sources.cwms.stations import project_series
from forebay.sources.hydstra import parse
from forebay.sources.hydstra.fetch import Period, fetch_by_calls
from forebay.sources.hydstra.stations import parse_series, parse_sites
from forebay.sources.usgs import parse as usgs
from forebay.text import printable, unprintable
from tests.junk import with_junk
from tests.shared import SHARED, needs_shared

FOLDER = SHARED / "recordings" / "hydstra"
RECORDINGS = sorted(FOLDER.glob("*__get_*.json"))
DAM = load_dam("warragamba")
NO_DATA = b'{"error_num":126,"error_msg":"No data within specified period"}'
NOW = datetime(2024, 1, 1, tzinfo=UTC)
SITES = b'{"error_num":0,"_return":{"rows":[{"station":"1","stname":"A","latitude":"-33.9","longitude":"150.6",'
SITES += b'"active":true,"commence":19600101,"cease":18991230}]}}'


def gauge_of(path: Path) -> Gauge:
    """The gauge whose fetch received the recorded answer."""
    station = re.split(r"[-_]", path.name.partition("__get_")[2].partition("__")[2])[0]
    source = path.name.partition("__")[0]
    keys = {"role": "stream", "source": source + "water" * (source == "qld"), "station": station}
    return Gauge.model_validate(keys | {"variable": "stream_level", "unit": "m"})


def fetch(path: Path, answer: str) -> pl.DataFrame:
    """Readings of a fetch in which the service gives `answer` to the recorded function."""
    gauge = gauge_of(path)
    recorded = path.name.partition("__")[2].partition("__")[0]
    stage = '"variable":"100.00","name":"Level","units":"Metres",'
    stage += '"period_start":20200101000000,"period_end":20201231000000'
    details = '{"timezone":"10.0","name":"A"}'
    site = f'{{"site":"{gauge.station}","site_details":{details},"variables":[{{{stage}}}]}}'

    def call(function: str, version: str, params: Mapping[str, object]) -> bytes:
        if function == recorded:
            return answer.encode("utf-8", errors="surrogatepass")
        return f'{{"error_num":0,"return":{{"sites":[{site}]}}}}'.encode() if "list" in function else NO_DATA

    return fetch_by_calls(call, gauge, DAM, Period(date(2020, 1, 1), date(2020, 1, 31), NOW), limits=HttpSettings())


def parsers_of(path: Path) -> list[Callable[[str], object]]:
    """What reads the recorded answer."""
    if "get_ts_traces" in path.name:
        gauge = gauge_of(path)
        return [
            lambda answer: [parse.readings_of(trace, gauge) for trace in parse.parse_ts_traces(answer)],
            lambda answer: fetch(path, answer),
        ]
    if "get_variable_list" in path.name:
        return [parse.parse_variable_list, parse_series, lambda answer: fetch(path, answer)]
    if "get_datasources" in path.name:
        return [parse.parse_datasources]
    return [parse.result_of]


@needs_shared
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_an_answer_with_junk_is_a_source_error_or_a_table(path: Path) -> None:
    parsers, count = parsers_of(path), 0
    for place, junk, answer in with_junk(path.read_text("utf-8-sig")):
        for parser in parsers:
            count += 1
            try:
                parser(answer)
            except SourceError as error:
                text = str(error)
                assert "Error:" not in text, f"{place} = {junk}: a rule of the parser must say it, not {text}"
                assert unprintable(text) is None, f"{place} = {junk}: {text!r}"
    assert count >= 20


def usgs_rows(parse_rows: Callable[[list[Any]], object]) -> Callable[[bytes], object]:  # Any: JSON objects
    return lambda answer: parse_rows(usgs.parse_page(answer).rows)


PARSERS: dict[str, list[Callable[[bytes], object]]] = {
    "usgs": [usgs_rows(usgs.parse_values), usgs_rows(usgs.parse_series), usgs_rows(usgs.parse_locations)],
    "cwms": [
        cwms.parse_timeseries,
        cwms.parse_catalog,
        lambda answer: project_series(cwms.parse_catalog(answer).entries),
    ],
    "cdec": [parse_answer],
}
"""Of the services whose own tests have no junk in each recording."""
UNREAD = ("waterdata_queryables.json", "waterdata_ogc_fixtures.json")
"""Lists of properties and test data of another program, no answers."""


def is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text("utf-8-sig"))
    except ValueError:
        return False
    return True


@needs_shared
@pytest.mark.parametrize("service", PARSERS)
def test_junk_in_each_recording_of_a_service(service: str, subtests: pytest.Subtests) -> None:
    """Each parser of the service, those of its stations too, reads each recording, whatever it is."""
    folder = SHARED / "recordings" / service
    recordings = [path for path in sorted(folder.iterdir()) if path.name not in UNREAD and is_json(path)]
    assert recordings
    for path in recordings:
        with subtests.test(path.name):
            for place, junk, answer in with_junk(path.read_text("utf-8-sig")):
                for parser in PARSERS[service]:
                    try:
                        parser(answer.encode("utf-8", errors="surrogatepass"))
                    except SourceError as error:
                        text = f"{place} = {junk}: {error}"
                        assert "Error:" not in text, f"a rule of the parser must say it: {text}"
                        assert unprintable(str(error)) is None, text


def test_junk_in_a_list_of_sites() -> None:
    for place, junk, answer in with_junk(SITES.decode()):
        try:
            sites = parse_sites(answer)
        except SourceError as error:
            assert "Error:" not in str(error), f"{place} = {junk}: {error}"
        else:
            assert all(unprintable(name) is None for name in sites["name"])


def test_the_last_resort_of_a_parser_is_a_source_error() -> None:
    @answer_parser
    def parse_badly(answer: str) -> int:
        return int(answer) // 0

    try:
        parse_badly("1")
    except SourceError as error:
        assert str(error).startswith("the answer does not have the expected form (ZeroDivisionError: ")
    except ZeroDivisionError:
        pytest.fail("the parser's own error came out")
    else:
        pytest.fail("no error came out")


def test_texts_of_an_answer_are_printable() -> None:
    texts = json_of('["\\ud800", "a\\u0001b\\u001b[2J", "\\u202egnirts", "ol\\u00e9", "two\\nlines", {"k\\u0007": 1}]')
    assert texts == ["\ufffd", "a\ufffdb\ufffd[2J", "\ufffdgnirts", "ol\u00e9", "two\nlines", {"k\ufffd": 1}]
    assert json_of('["\x7f"]') == ["\ufffd"], "not escaped"


@pytest.mark.parametrize("code", [0x00, 0x08, 0x1B, 0x7F, 0x9B, 0x202E, 0x2066, 0xD800, 0xDFFF, 0xFDD0, 0xFFFE, 0xFFFF])
def test_characters_that_no_output_may_contain(code: int) -> None:
    assert unprintable(f"Dam{chr(code)}") == f"U+{code:04X}"
    assert printable(f"Dam{chr(code)}") == "Dam\ufffd"


def test_letters_of_any_language_and_line_breaks_are_printable() -> None:
    for text in ("Presa Río Hondo", "三峡大坝", "سد أسوان", "Đập Hòa Bình", "two\nlines\tand a tab", "🌊"):
        assert unprintable(text) is None
        assert printable(text) == text
