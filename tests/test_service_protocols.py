"""docs/service_protocols.md: the dam file of each section can be read, and its gauges fit their protocol."""

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


@pytest.mark.parametrize("name", SECTIONS)
def test_the_example_of_a_section_is_a_dam_file(name: str, tmp_path: Path) -> None:
    examples = TOML.findall(SECTIONS[name])
    assert examples
    for example in examples:
        path = tmp_path / "dam.toml"
        path.write_text(example, "utf-8")
        dam = load_dam(str(path))
        sources = {gauge.source for gauge in dam.gauges}
        assert name in sources | {SERVICES[source].protocol for source in sources}
        now = datetime(2024, 6, 1, tzinfo=UTC)
        for gauge in dam.gauges:
            days = (date(2024, 5, 1), date(2024, 5, 31))
            assert plan_requests(gauge, dam, *days, settings=Settings(), now=now)
