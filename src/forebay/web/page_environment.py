"""The templates of pages: those of the report, and those of this package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader

from forebay.charts.formats import format_number
from forebay.charts.outlook_tables import event_title, format_probability, threshold_title
from forebay.report.environment import environment
from forebay.web.assets import asset_url
from forebay.web.sparkline import sparkline


def render(template: str, values: Mapping[str, object]) -> str:
    """HTML text of a page: a template of this package, which extends `page.html`, with `values`."""
    return page_environment().get_template(template).render(values)


@cache
def page_environment() -> Environment:
    """The environment of the report with the templates of this package, which come first."""
    pages = environment().overlay(loader=ChoiceLoader([PackageLoader("forebay.web"), PackageLoader("forebay.report")]))
    pages.globals |= {
        "asset_url": asset_url,
        "sparkline": sparkline,
        "event_title": event_title,
        "threshold_title": threshold_title,
        "decimals": format_number,
    }
    pages.filters |= {"probability": format_probability, "age": format_age}
    return pages


def format_age(hours: float | None) -> str:
    """An age in hours or days.

    >>> format_age(5.04), format_age(47.9), format_age(51.0), format_age(None)
    ('5.0 hours', '47.9 hours', '2 days', 'unknown')
    """
    if hours is None:
        return "unknown"
    return f"{format_number(hours, 1)} hours" if hours < 48 else f"{format_number(hours // 24, 0)} days"
