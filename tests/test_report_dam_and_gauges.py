"""`forebay.report.dam_and_gauges`: the facts of the dam file, the sources of the gauges, the last fetch."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl

from forebay.archive.latency import LearnedLatency
from forebay.dams.dam import Dam
from forebay.report import dam_and_gauges
from tests.report_examples import example_report, section_text


def test_the_section_lists_the_facts_of_the_dam_file() -> None:
    curve = {"level_unit": "m", "storage_unit": "ML", "points": [[80, 0], [100, 5000]], "survey_date": "2011-05-01"}
    low_pool = {"rule_curve": [{"day": "01-01", "value": 90}, {"day": "07-01", "value": 95}]}
    facts = {
        "full_supply": {"dated": [{"from": "2018-01-01", "value": 99.0}, {"from": "2020-01-01", "value": 100.0}]},
        "thresholds": [{"name": "Low pool", "level": low_pool}],
        "storage_curves": [curve],
        "hindcast": {
            "verification_exclude": [
                {"from": "2019-01-01", "to": "2019-01-05", "reason": "datum moved"},
                {"from": "2019-02-01", "to": "2019-02-05"},
            ]
        },
    }
    report = example_report()
    dam = Dam.model_validate(report.dam.model_dump(by_alias=True) | facts)
    text = section_text("dam_and_gauges", replace(report, dam=dam))
    assert "Full supply 99 m from 2018-01-01; 100 m from 2020-01-01 Low pool" in text
    assert "rule curve: 01-01 90 m, 07-01 95 m Not scored" in text
    assert "2019-01-01 to 2019-01-05 (datum moved); 2019-02-01 to 2019-02-05 Storage curve" in text
    assert "80 to 100 m: 0 to 5,000 ML, 2 points, surveyed 2011-05-01 Notes" in text


def test_the_position_is_latitude_and_longitude() -> None:
    report = example_report()
    dam = report.dam.model_copy(update={"latitude": -33.5, "longitude": 150.25})
    assert "Position -33.5°, 150.25° Days" in section_text("dam_and_gauges", replace(report, dam=dam))


def test_the_section_names_the_origin_of_the_dam_file() -> None:
    report = example_report()
    assert "Origin of the dam file" not in section_text("dam_and_gauges", report)
    for verified, mark in ((None, ""), ("recording", " (verified by recording)")):
        dam = report.dam.model_copy(update={"origin": "the yearbook", "verified": verified, "licence": "CC BY"})
        text = section_text("dam_and_gauges", replace(report, dam=dam))
        assert f"Origin of the dam file the yearbook{mark} Licence of the data" in text


def test_the_section_lists_gauges_and_the_last_fetch() -> None:
    text = section_text("dam_and_gauges", example_report())
    assert "stream A creek simulated creek stream level m mean, daily 00:00" in text.replace("Stream", "stream")
    assert "Last fetch gauge rows The lake 1,200" in text
    assert "File" not in text


def test_the_section_shows_learned_latencies_and_substitutes() -> None:
    report = example_report()
    gauges = [g.model_copy(update={"substitute": ("r2",)} if g.station == "r1" else {}) for g in report.dam.gauges]
    dam = report.dam.model_copy(update={"gauges": tuple(gauges)})
    learned = {"rainfall_r1": LearnedLatency(45, 44, 9.2, 32.1), "rainfall_r2": LearnedLatency(29, 28)}
    text = section_text("dam_and_gauges", replace(report, dam=dam, latencies=learned))
    assert "00:00 0 h; learned 9–33 h, 45 fetches Rainfall 2" in text
    assert "Known after Substitutes" in text
    assert "Substitutes" not in section_text("dam_and_gauges", report)
    few = replace(report, latencies={"rainfall_r2": LearnedLatency(29, 28)})
    assert "learned" not in section_text("dam_and_gauges", few)


def test_the_first_columns_of_the_fetch_are_texts_and_the_others_numbers() -> None:
    table = pl.DataFrame({
        "gauge": ["reservoir_level", "rainfall_r1"], "source": ["a", "a"], "station": ["b", "c"],
        "error": [None, "late"], "rows": [1200, 3], "age": [None, None], "newest": [1.25, None],
    })  # fmt: skip
    values = dam_and_gauges.build(replace(example_report(), gauge_table=table))
    assert values["fetch_headers"] == ["gauge", "error", "rows", "newest"], "a column without any value is left out"
    assert values["fetch_texts"] == 2
    assert values["fetch_rows"] == [["The lake", "–", "1,200", "1.2"], ["Rainfall 1", "late", "3", "–"]]
    texts = table.select("gauge", "error")
    assert dam_and_gauges.build(replace(example_report(), gauge_table=texts))["fetch_texts"] == 2


def test_times_of_the_last_fetch_are_those_of_the_dam() -> None:
    report = example_report()
    assert report.dam.time_zone == "+10:00"
    fetch = report.gauge_table.with_columns(newest=pl.lit(datetime(2020, 2, 8, 22, 30, tzinfo=UTC)))
    text = section_text("dam_and_gauges", replace(report, gauge_table=fetch))
    assert "2020-02-09T08:30+10:00" in text


def test_a_report_without_a_fetch_states_it() -> None:
    text = section_text("dam_and_gauges", replace(example_report(), gauge_table=pl.DataFrame()))
    assert "Nothing was fetched for this report." in text
