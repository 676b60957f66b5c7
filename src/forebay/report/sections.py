"""The report's sections in their order on the page.

A section is one line in `SECTIONS`, one template `templates/<name>.html` and, unless the template is all of it, one
module whose `build` returns numbers and tables. The prose is in the template. It shows a figure of
`charts.registry.REPORT_CHARTS` by its name, as `figures.NAME`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from forebay.charts.formats import TargetFormat
from forebay.report import (
    coverage,
    dam_and_gauges,
    diagnostics,
    explanation,
    forecast,
    largest_rise,
    limitations,
    outlook,
    scores,
)
from forebay.report.environment import environment

if TYPE_CHECKING:
    from forebay.charts.figures import Figure
    from forebay.charts.report_tables import Report


def _no_values(_: Report) -> Mapping[str, object]:
    return {}


def _always(_: Report) -> bool:
    return True


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes
    ----------
    name
        Name of its template, and its id on the page.
    title
        Its heading, and its link in the navigation.
    build
        Values for the template, which also has `figures`, `report`, its `dam` and `forecast`, and `target`, the
        `TargetFormat` of the dam.
    condition
        Whether a report has the section.
    """

    name: str
    title: str
    build: Callable[[Report], Mapping[str, object]] = _no_values
    condition: Callable[[Report], bool] = _always

    def render(self, report: Report, figures: Mapping[str, Figure]) -> Markup:
        """The section as markup, without its heading."""
        return render_template(f"{self.name}.html", report, {**self.build(report), "figures": figures})


SECTIONS = (
    Section("forecast", "Forecast", forecast.build),
    Section("outlook", "Outlook: will the level reach a threshold?", outlook.build, outlook.has_outlook),
    Section("explanation", "Explanation of the forecast", explanation.build, explanation.is_explained),
    Section("largest_rise", "Forecasts of the largest rise", largest_rise.build),
    Section("scores", "How accurate are the forecasts?", scores.build),
    Section("diagnostics", "Are the probabilities reliable?", diagnostics.build, diagnostics.is_diagnosed),
    Section("coverage", "Data coverage", coverage.build),
    Section("dam_and_gauges", "Dam and gauges", dam_and_gauges.build),
    Section("limitations", "Limitations of this forecast", limitations.build),
    Section("glossary", "Glossary"),
)


def render_template(template: str, report: Report, values: Mapping[str, object]) -> Markup:
    """A part of the page as markup: a template with `values`, `report`, its `dam` and `forecast`, and `target`."""
    shared = {"report": report, "dam": report.dam, "forecast": report.forecast, "target": TargetFormat(report.dam)}
    return Markup(environment().get_template(template).render({**values, **shared}))
