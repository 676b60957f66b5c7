"""The page docs/services.md, written from the table of services.

As a script it writes the page::

    python -m tests.service_page
"""

from __future__ import annotations

from forebay.services import SERVICES, Service, services_with_quality_codes
from tests.shared import PROJECT

PAGE = PROJECT / "docs" / "services.md"

HEAD = """\
# Services

Readings come from these services. A gauge of a [dam file](dam_file.md) names one as its `source`. `python -m
tests.service_page` writes this page from the table `SERVICES` in `src/forebay/services.py`.

"""
KEYS_HEAD = """
## Keys of a gauge's request

The table `request` of a gauge has parameters of the requests to its service, where the defaults do not fit. A service
with an API key takes it from the environment ([Settings](settings.md#secrets-in-settings)).

"""
GRADES_HEAD = """
## Quality codes

A file can use the quality codes of one of these services (`quality_codes` in the [dam file](dam_file.md)). A code that
is not in its table is unknown; its value stays in use.

"""
WORDS_HEAD = """
The codes of these services are words. Of a code with several words, the first of these grades counts: missing,
estimated, poor, unknown, fair, good. A value without a number is missing.

"""


def page() -> str:
    """The whole page."""
    columns = ("name", "title", "protocol", "offers", "default URL", "licence", "attribution")
    services = table(columns, [_row(name, service) for name, service in SERVICES.items()])
    numbers = services_with_quality_codes()
    words = [name for name, service in SERVICES.items() if service.quality_codes and name not in numbers]
    keys = [
        [f"`{name}`", ", ".join(f"`{key}`" for key in service.request_keys), _api_key(service)]
        for name, service in SERVICES.items()
        if service.request_keys or service.takes_key
    ]
    requests = KEYS_HEAD + table(("service", "keys of `request`", "API key"), keys)
    return HEAD + services + requests + GRADES_HEAD + _grade_table(numbers) + WORDS_HEAD + _grade_table(words)


def _grade_table(names: list[str]) -> str:
    grades = ("good", "fair", "estimated", "poor", "unknown", "missing")
    codes = [[f"`{name}`", *(SERVICES[name].quality_codes.get(grade, "") for grade in grades)] for name in names]
    return table(("codes of", *grades), codes)


def _api_key(service: Service) -> str:
    return f"optional, also as `{service.key_variable}`" if service.takes_key else "none"


def _row(name: str, service: Service) -> list[str]:
    offers = ", ".join(offer.replace("_", " ") for offer in service.offers)
    licence = service.licence or "see the service"
    if service.url is None and not service.licence:
        licence = "yours"
    url = "none: `request.url` or the settings" if service.url == "" else service.url or ""
    return [f"`{name}`", service.title, service.protocol, offers, url, licence, service.attribution]


def table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
