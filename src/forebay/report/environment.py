"""HTML text of a page from its Jinja2 template; all pages extend `templates/base.html`.

A page is one file that needs no network. Text from a dam file is untrusted: the environment escapes every value that is
not markup. The Content-Security-Policy of a page allows only our style and scripts, by their hashes, and no connection.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import fmean

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from forebay.charts import drawing
from forebay.charts.formats import (
    format_count,
    format_day,
    format_name,
    format_number,
    format_percent,
    format_time,
    format_value,
)

_CELL = re.compile(r"<(tr|td)\b")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def label_cells(rows: Markup, headers: Sequence[str]) -> Markup:
    """Table rows whose cells have their column's header as the attribute `data-label`, for a narrow screen.

    Values are escaped, so that every `<td` is a cell of the template.

    >>> label_cells(Markup("<tr><td>1</td><td>2</td></tr>"), ("", "Days"))
    Markup('<tr><td>1</td><td data-label="Days">2</td></tr>')
    """
    column = 0

    def label(tag: re.Match[str]) -> str:
        nonlocal column
        if tag[1] == "tr":
            column = 0
            return tag[0]
        header = headers[column] if column < len(headers) else ""
        column += 1
        return f'{tag[0]} data-label="{escape(header)}"' if header else tag[0]

    return Markup(_CELL.sub(label, rows))


def is_day(value: object) -> bool:
    """Whether a cell is a day in ISO 8601, which must stay on one line.

    >>> is_day("2026-01-31"), is_day("2026-01-31 to 2026-02-01")
    (True, False)
    """
    return bool(_DAY.fullmatch(str(value)))


_FILTERS = {
    "average": fmean,
    "day": format_day,
    "label_cells": label_cells,
    "number": format_number,
    "percent": format_percent,
    "plural": format_count,
    "time": format_time,
    "value": format_value,
    "words": format_name,
}


@dataclass(frozen=True)
class Assets:
    """Style and scripts of every page, and the Content-Security-Policy that allows them."""

    style: Markup
    scripts: tuple[Markup, ...]
    policy: Markup


def render_page(template: str, context: Mapping[str, object]) -> str:
    """HTML text of a whole page; `template` is a file of `templates/` that extends `base.html`.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a value that `context` lacks.
    """
    return environment().get_template(template).render({**context, "assets": _assets()})


@cache
def environment() -> Environment:
    """The Jinja2 environment of all pages: it escapes values everywhere and refuses undefined names."""
    pages = Environment(
        loader=PackageLoader("forebay.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Vega-Lite depends on the order of keys (layers, datasets); NaN is not JSON and the browser would refuse it.
    pages.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False, "separators": (",", ":")}
    pages.filters |= _FILTERS
    pages.tests["day"] = is_day
    return pages


@cache
def _assets() -> Assets:
    style = _static("report.css")
    scripts = (_vega_bundle(), _static("start.js"))
    hashes = " ".join(_hash(script) for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    return Assets(Markup(style), tuple(map(Markup, scripts)), Markup(policy))


def _vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; a browser reads every line end as "\\n", and so must the hash."""
    return drawing.vega_bundle().replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _static(name: str) -> str:
    return (resources.files("forebay.report") / "static" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
