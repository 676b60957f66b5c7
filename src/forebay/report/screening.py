"""The screening room's pictures and tables: each gauge with its flags by reason, and its neighbours below."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from forebay.charts import drawing
from forebay.charts.score_tables import gauge_labels
from forebay.charts.screening import gauge_chart
from forebay.charts.spec import Spec, file_spec
from forebay.dams.dam import Dam
from forebay.files import write_all
from forebay.report.page import Html, chart, document, element, joined, table
from forebay.screen.flags import REASONS, flag_runs


def write_screening(daily: pl.DataFrame, found: pl.DataFrame, dam: Dam, folder: Path) -> list[Path]:
    """`screening.html`, a picture per gauge (PNG, SVG), `flags.csv` and `spells.csv` in `folder`; gives their paths.

    Parameters
    ----------
    daily, found
        A daily frame and its flags (`prepare.flags.FLAGS`).

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    charts = {gauge.column: gauge_chart(daily, found, dam, gauge) for gauge in dam.gauges}
    specs = {name: file_spec(picture) for name, picture in charts.items()}
    drawings = drawing.start_drawing(specs.items())
    with write_all(folder) as files:
        found.write_csv(files.stage / "flags.csv")
        flag_runs(found).write_csv(files.stage / "spells.csv")
        page = _page(dam, found, specs)
        (files.stage / "screening.html").write_bytes(page.encode())
        drawing.write_pictures(drawings, files.stage)
    return files.paths


def _page(dam: Dam, found: pl.DataFrame, specs: dict[str, Spec]) -> str:
    """The page: what was found as a table of spells, what the reasons mean, and each gauge's picture."""
    labels = gauge_labels(dam)
    runs = flag_runs(found)
    rows = [
        (labels[row["gauge"]], row["from"], row["to"], row["reason"], row["known_on"], row["days"],
         _figure(row["value"]), _figure(row["expected"]))
        for row in runs.iter_rows(named=True)
    ]  # fmt: skip
    headers = ("gauge", "from", "to", "reason", "known on", "days", "value", "expected about")
    said = f"{len(rows)} spells; medians of each. Nothing is deleted: the daily frame keeps every value."
    meanings = element("ul", *(element("li", element("strong", name), f": {text}") for name, text in REASONS.items()))
    notice = element("p", "SIMULATED: there is no such dam.", css="simulated") if dam.simulated else Html("")
    body = (
        element("header", element("h1", f"{dam.name}: screening"), notice),
        Html("<main>"),
        element("section", element("h2", "What is doubted"), table(headers, rows, texts=5, caption=said), meanings),
        *(element("section", element("h2", labels[name]), chart(name, spec)) for name, spec in specs.items()),
        Html("</main>"),
        element("footer", f"Data: {dam.licence or 'licence not stated'}."),
    )
    return document(f"{dam.name}: screening", joined(body))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"
