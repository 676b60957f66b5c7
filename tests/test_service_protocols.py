"""The page of protocols: the gauges of its examples are read as part of a dam file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forebay.dams.dam_file import load_dam
from forebay.dams.gauge import Gauge
from tests.services.kiwis import BUREAU_DAM
from tests.services.uk_ea import ARCHIVE_DAM
from tests.shared import PROJECT

PAGE = (PROJECT / "docs" / "service_protocols.md").read_text("utf-8")


def gauges_of(section: str, dam_file: str, folder: Path) -> list[Gauge]:
    """Gauges of the section's example, in a dam file with the head of `dam_file`."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    path = folder / "dam.toml"
    path.write_text(dam_file.partition("[[gauges]]")[0] + example, "utf-8")
    return list(load_dam(str(path)).gauges)


@pytest.mark.parametrize(
    ("section", "dam_file", "sources"),
    [
        ("KiWIS", BUREAU_DAM, ["bom", "bom", "kiwis"]),
        ("Environment Agency (England)", ARCHIVE_DAM, ["uk_ea", "uk_ea_flood"]),
    ],
)
def test_the_example_of_a_section_is_read(section: str, dam_file: str, sources: list[str], tmp_path: Path) -> None:
    assert [gauge.source for gauge in gauges_of(section, dam_file, tmp_path)] == sources
