"""docs/service_protocols.md: the gauges of each section can be read as part of a dam file, and fit their protocol."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from forebay.dams.dam_file import load_dam
from forebay.services import SERVICES
from forebay.settings import Settings
from forebay.sources import plan_requests
from tests.shared import PROJECT

SECTION = re.compile(r"^## (\w+)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall((PROJECT / "docs" / "service_protocols.md").read_text("utf-8")))
HEAD = """\
id = "example"
name = "Example"
country = "Somewhere"
latitude = 0.0
longitude = 0.0
time_zone = "+00:00"
[target]
variable = "reservoir_level"
unit = "m"
datum = "none"
"""
LEVEL = """
[[gauges]]
role = "target"
source = "waternsw"
station = "1"
variable = "reservoir_level"
unit = "m"
"""


def test_every_protocol_of_the_network_has_a_section() -> None:
    protocols = {service.protocol for service in SERVICES.values() if service.url is not None}
    assert protocols == set(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_examples_of_a_section_are_read_and_planned(name: str, tmp_path: Path) -> None:
    examples = TOML.findall(SECTIONS[name])
    assert examples
    for example in examples:
        path = tmp_path / "dam.toml"
        head = "" if example.startswith("id") else HEAD
        path.write_text(head + ("" if 'role = "target"' in example else LEVEL) + example, "utf-8")
        dam = load_dam(str(path))
        assert {SERVICES[gauge.source].protocol for gauge in dam.gauges} | {"hydstra"} == {name, "hydstra"}
        now = datetime(2024, 6, 1, tzinfo=UTC)
        for gauge in dam.gauges:
            days = (date(2024, 5, 1), date(2024, 5, 31))
            assert plan_requests(gauge, dam, *days, settings=Settings(), now=now)
