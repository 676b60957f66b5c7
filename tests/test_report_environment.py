"""`forebay.report.environment`: values are escaped, names are checked, JSON cannot end its script element."""

import base64
import hashlib
import json
import math
import re

import pytest
from jinja2 import ChoiceLoader, DictLoader, TemplateRuntimeError, UndefinedError

from forebay.report.environment import environment, render_page
from tests.report_examples import HOSTILE

TOY = """{% extends "base.html" %}{% block title %}{{ text }}{% endblock %}{% block main %}{{ text }}{% endblock %}"""


def render(source: str, **values: object) -> str:
    return environment().from_string('{% import "macros.html" as ui %}' + source).render(values)


def test_every_value_is_escaped() -> None:
    assert render("<b>{{ text }}</b>", text="<i> & \"'") == "<b>&lt;i&gt; &amp; &#34;&#39;</b>"
    assert "<img" not in render("{{ ui.table([text], [[text, text]], caption=text) }}", text=HOSTILE)
    assert "<img" not in render("{{ ui.definitions([(text, text)]) }}{{ ui.notice(text) }}", text=HOSTILE)
    assert "<img" not in render("{{ ui.legend([(text, text)]) }}", text=HOSTILE)


def test_an_undefined_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'level' is undefined"):
        render("{{ level }}")


def test_chart_text_cannot_end_its_script_element() -> None:
    html = render("{{ ui.chart(text, spec) }}", text=HOSTILE, spec={"title": HOSTILE, "z": HOSTILE, "a": 1})
    inside = re.findall(r'data-chart="[^"]*">(.*?)</script>', html)
    assert len(inside) == html.count("<script") == html.count("</script") == 1
    assert not re.search("[<>&\u2028\u2029]", inside[0])
    assert json.loads(inside[0]) == {"title": None, "z": HOSTILE, "a": 1}
    assert list(json.loads(inside[0])) == ["title", "z", "a"]


def test_a_chart_with_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        render("{{ ui.chart('x', spec) }}", spec={"title": "t", "level": math.nan})


def test_number_columns_follow_text_columns() -> None:
    html = render("{{ ui.table(['gauge', 'from', 'days'], [['creek', 'May', 3]], texts=2) }}")
    assert '<th scope="col">from</th>' in html and '<th scope="col" class="number">days</th>' in html
    cells = '<td data-label="gauge">creek</td><td data-label="from">May</td><td data-label="days" class="number">3</td>'
    assert cells in html
    assert "<caption>" not in html


def test_a_page_must_have_a_title_and_a_main_part() -> None:
    with pytest.raises(TemplateRuntimeError, match="Required block"):
        render_page("base.html", {})


def test_the_policy_names_the_hash_of_each_script_and_of_the_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment(), "loader", ChoiceLoader([DictLoader({"toy.html": TOY}), environment().loader]))
    html = render_page("toy.html", {"text": HOSTILE})
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    style, *scripts = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", html, flags=re.DOTALL)
    for part in (style, *scripts):
        assert base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() in policy[1]
    assert policy[1].count("'sha256-") == 1 + len(scripts) == 3
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1] and "http" not in policy[1]
    assert "<!--" not in html  # in a script it hides the end of the script
