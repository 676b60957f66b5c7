"""Any text that a dam file may have as a name passes through the report and its pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forebay.charts import drawing
from forebay.charts.registry import report_figures
from forebay.report.write import render_report
from forebay.text import unprintable
from tests.report_examples import example_report

CHARTS = ("forecast", "explanation")
NAMES = st.text(min_size=1, max_size=40).filter(lambda text: unprintable(text) is None)


@pytest.mark.slow
@given(text=NAMES)
@example(text="Łódź 三峡 سد أسوان 🌊")
@example(text="\\\"'`<b>&amp;]]>{{ x }}${y}\t\n%")
@example(text="\u2028\u2029\u00ad\u200b\ufeff\ufffd")
@settings(max_examples=5)
def test_any_name_passes_through_the_report_and_its_pictures(text: str) -> None:
    report = example_report()
    gauges = tuple(gauge.model_copy(update={"name": text}) for gauge in report.dam.gauges)
    texts = dict.fromkeys(("name", "country", "notes", "licence"), text)
    report = replace(report, dam=report.dam.model_copy(update=texts | {"gauges": gauges}))
    assert "</html>" in render_report(report)
    figures = report_figures(report)
    for name in CHARTS:
        answer = drawing._request({"spec": figures[name].file_spec()})
        assert answer is not None, "the drawing process ended"
        assert answer["svg"].startswith("<svg")
