"""The HTML page that holds a report: escaped text, tables, chart slots, and one file that needs no network.

What stands in a dam file is text of strangers: whatever is not `Html` is escaped. The page's Content-Security-Policy
allows just its own style and scripts, named by their hashes, and no connection to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from functools import cache

from forebay.charts import drawing
from forebay.charts.spec import Spec


class Html(str):
    """Markup made by this package: it stands as it is, where other text is escaped."""


def escaped(text: object) -> Html:
    """`text` as markup: itself if it is `Html`, otherwise with its special characters escaped.

    >>> escaped("a < b")
    'a &lt; b'
    """
    return text if isinstance(text, Html) else Html(html.escape(str(text), quote=True))


def element(name: str, *content: object, css: str = "", ident: str = "") -> Html:
    """An element with escaped content.

    >>> element("p", "a < b", css="note")
    '<p class="note">a &lt; b</p>'
    """
    marks = "".join(f' {key}="{escaped(value)}"' for key, value in (("id", ident), ("class", css)) if value)
    return Html(f"<{name}{marks}>{''.join(escaped(part) for part in content)}</{name}>")


def joined(parts: Iterable[object]) -> Html:
    """Pieces of markup or text, one after the other."""
    return Html("\n".join(escaped(part) for part in parts))


def table(headers: Sequence[object], rows: Sequence[Sequence[object]], *, texts: int = 1, caption: object = "") -> Html:
    """A table that scrolls sideways on a narrow screen; its first `texts` columns hold words, the others numbers."""

    def css(column: int) -> str:
        return "" if column < texts else "number"

    head = element("tr", *(element("th", text, css=css(k)) for k, text in enumerate(headers)))
    body = [element("tr", *(element("td", cell, css=css(k)) for k, cell in enumerate(row))) for row in rows]
    title = element("caption", caption) if caption else ""
    return element("div", element("table", title, element("thead", head), element("tbody", *body)), css="scroll")


def pairs(entries: Iterable[tuple[object, object]]) -> Html:
    """A list of names and what they stand for; entries without text are left out."""
    inner = (joined((element("dt", name), element("dd", text))) for name, text in entries if str(text))
    return element("dl", *inner)


def chart(name: str, spec: Spec) -> Html:
    """A place where the page's script draws `spec`; the text of a dam file inside cannot end the script element."""
    text = json.dumps({**spec, "title": None}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    title = escaped(spec.get("title", name))
    place = f'<div class="chart" id="{escaped(name)}" role="img" aria-label="{title}"></div>'
    script = f'<script type="application/json" data-chart="{escaped(name)}">{safe}</script>'
    return Html(f'<p class="title">{title}</p>{place}{script}')


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """The words and colours of a chart, in a line that wraps."""
    swatch = '<svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="2" fill="{}"/></svg>'
    items = (element("li", Html(swatch.format(escaped(colour))), name) for name, colour in entries)
    return element("ul", *items, css="legend")


def document(title: str, body: Html) -> str:
    """The whole file."""
    bundle = _bundle()
    style, scripts = _hash(_STYLE), f"{_hash(bundle)} {_hash(_START)}"
    policy = f"default-src 'none'; script-src {scripts}; style-src {style}; base-uri 'none'; form-action 'none'"
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title>",
            f"<style>{_STYLE}</style></head>",
            f"<body>{body}",
            f"<script>{bundle}</script><script>{_START}</script>",
            "</body></html>\n",
        )
    )


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed, once for all charts."""
    return drawing.vega_bundle().replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# ast: expressions are interpreted, so that the policy need not allow eval; no actions: they would lead to a web editor.
_START = """
"use strict";
for (const data of document.querySelectorAll("script[data-chart]")) {
  const place = document.getElementById(data.dataset.chart);
  const look = {actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: {disableDefaultStyle: true}};
  vegaEmbed(place, JSON.parse(data.textContent), look).catch((error) => {
    place.textContent = "This chart could not be drawn: " + error;
    console.error(error);
  });
}
"""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --soft: #55626d; --line: #d5dbe0; --paper: #ffffff;
  --ground: #f4f6f8;
  --blue: #00588c; --warn: #fff4d6; --warn-line: #d99a00; --bad: #a63c00; --good: #00684b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf1; --soft: #a9b5bf; --line: #3a4650; --paper: #1a2229;
  --ground: #12181d; --blue: #7cc4f2; --warn: #3b3112; --bad: #ffa778; --good: #6fd6b0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, nav, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .5rem 0; max-width: 74ch; }
.sub { color: var(--soft); font-size: 1.05rem; }
.small, footer, caption, .legend { color: var(--soft); font-size: .875rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 20px 24px;
  margin: 18px 0; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; margin: 12px 0 0;
  font-size: .9rem; }
a { color: var(--blue); }
.simulated, .stale, .lacks { background: var(--warn); border-left: 5px solid var(--warn-line); padding: 8px 14px;
  margin: 12px 0;
  border-radius: 4px; max-width: none; }
.simulated { font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 12px; margin: 18px 0 0; }
.figures div { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.figures h3 { margin: 0; font-size: .875rem; font-weight: 500; color: var(--soft); }
.figures strong { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; line-height: 1.35; }
.figures span { display: block; font-size: .875rem; color: var(--soft); }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: separate; border-spacing: 0; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 6px; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; }
th.number, td.number { text-align: right; }
td { white-space: nowrap; }
td:first-child .under { white-space: normal; min-width: 6rem; max-width: 11rem; }
td:last-child:not(.number) { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.scroll th:first-child, .scroll td:first-child { position: sticky; left: 0; background: var(--paper); }
.title { font-weight: 600; font-size: .9rem; margin: 10px 0 2px; max-width: none; }
u { text-underline-offset: 3px; }
td .under { display: block; font-size: .8125rem; color: var(--soft); }
td .hit { color: var(--good); } td .miss { color: var(--bad); font-weight: 600; }
tr.first td { border-top: 2px solid var(--line); }
dl { display: grid; grid-template-columns: minmax(130px, max-content) 1fr; gap: 4px 18px; margin: 10px 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.chart { width: 100%; min-height: 60px; background: #fff; color: #1b2733; border-radius: 6px; }
.chart > svg, .chart > .chart-wrapper > svg { max-width: 100%; height: auto; display: block; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 14px; }
.panels.wide { grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0; margin: 6px 0; }
.legend svg { outline: 1px solid #9aa3ab; border-radius: 2px; }
.legend li { display: flex; align-items: center; gap: 6px; }
summary { cursor: pointer; color: var(--blue); margin: 8px 0; }
footer { padding-bottom: 40px; }
#vg-tooltip-element { visibility: hidden; position: fixed; z-index: 1000; padding: 8px 10px; border-radius: 4px;
  font-size: 13px;
  background: #fff; color: #1b2733; border: 1px solid #9aa3ab; box-shadow: 0 2px 8px rgb(0 0 0 / 18%);
  pointer-events: none; }
#vg-tooltip-element.visible { visibility: visible; }
#vg-tooltip-element table { font-size: 13px; } #vg-tooltip-element td { border: 0; padding: 1px 6px 1px 0; }
#vg-tooltip-element td.key { color: #55626d; text-align: right; }
@media (max-width: 560px) { main, header, nav, footer { padding-left: 10px; padding-right: 10px; }
  section { padding: 14px 12px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --ground: #fff; --soft: #444;
  --line: #bbb; --blue: #00588c; --warn: #fff; --bad: #a63c00; --good: #00684b; } body { font-size: 11pt; }
  nav { display: none; }
  section { border: 0; padding: 0; } .chart, tr, .figures div { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } table { font-size: 8.5pt; } }
"""
