"""The page docs/catalogue.md, written from the dam files of the catalogue.

As a script it writes the page::

    python -m tests.catalogue_page
"""

from __future__ import annotations

from forebay.dams.dam import Dam
from forebay.dams.dam_file import catalogue, load_dam
from tests.service_page import table
from tests.shared import PROJECT

PAGE = PROJECT / "docs" / "catalogue.md"
CONTINENTS = {"Australia": "Oceania", "United Kingdom": "Europe", "United States": "North America"}

HEAD = """\
# Catalogue

`forebay dams` lists the built-in dams; `forebay run ID` needs no dam file for them. `python -m tests.catalogue_page`
writes this page from the files in [src/forebay/dams/catalogue](../src/forebay/dams/catalogue).

Every real dam names the `origin` of its stations, coordinates and levels, and what `verified` them:

- `recording`: an answer of the service with readings of the target is recorded. A test replays the answer to a daily
  table (`tests/test_catalogue.py`). The recordings are short: they show that the dam file reads the service correctly,
  not that the service still has the station.
- `documentation`: publications name the station and its series. No reading is recorded.

Nothing is guessed. Where no publication gives the full supply level, it is left out, and so are drivers without a
series that a publication names. Before you rely on a dam, compare its first fetch with the agency's own page. To
change a built-in dam, for instance to add a rain gauge, copy its file and give the path of the copy.

"""
ELSEWHERE = """
The services of forebay cover these three continents; only `kiwis` reads a hub anywhere, by its URL. The data of any
other service come in as CSV files ([Other services](other_services.md)), with recipes for these:

- Africa: [Cape Town](other_services.md#city-of-cape-town-south-africa),
  [South Africa](other_services.md#department-of-water-and-sanitation-south-africa)
- Asia: [India](other_services.md#india-wris-india), [Japan](other_services.md#water-information-system-of-mlit-japan)
- South America: [Chile](other_services.md#dga-chile)
- Europe: [France](other_services.md#hubeau-france), [Portugal](other_services.md#snirh-portugal),
  [Norway](other_services.md#nve-hydapi-norway), [Switzerland](other_services.md#bafu-switzerland),
  [Czechia](other_services.md#chmi-czechia), [Spain](other_services.md#anuario-de-aforos-spain)
- North America: [RISE](other_services.md#usbr-rise-united-states),
  [Texas](other_services.md#water-data-for-texas-united-states),
  [California's old service](other_services.md#cdec-its-old-service-california)

Rain of a weather model needs no station: the service [`open_meteo`](weather.md) has it at any point.
"""


def page() -> str:
    """The whole page."""
    dams = sorted(map(load_dam, catalogue()), key=lambda dam: (_continent(dam), dam.country, dam.id))
    columns = ("continent", "country", "id", "service", "target", "unit", "drivers", "full supply", "verified")
    sections = "".join(_section(dam) for dam in dams if not dam.simulated)
    return HEAD + table(columns, [_row(dam) for dam in dams if not dam.simulated]) + ELSEWHERE + sections


def _continent(dam: Dam) -> str:
    return "" if dam.simulated else CONTINENTS[dam.country]


def _row(dam: Dam) -> list[str]:
    drivers = len(dam.gauges) - 1
    full = "" if dam.full_supply is None else ", ".join(f"{value:,.10g}" for value in dam.full_supply.values)
    services = ", ".join(f"`{name}`" for name in dam.services)
    return [
        _continent(dam), dam.country, f"[{dam.id}](#{dam.id})", services, dam.target.variable,
        dam.target.unit, str(drivers or "none"), full or "left out", dam.verified or "",
    ]  # fmt: skip


def _section(dam: Dam) -> str:
    stations = "; ".join(f"{gauge.role} `{gauge.station}`" for gauge in dam.gauges)
    lines = [
        f"\n## {dam.id}\n",
        f"{dam.name}. {' '.join(dam.notes.split())}\n",
        f"- Stations (`{dam.target_gauge.source}`): {stations}",
        f"- Datum: {dam.target.datum}",
        f"- Origin: {dam.origin}",
        f"- Licence: {dam.licence}",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
