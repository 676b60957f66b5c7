"""The files in deploy/: their commands exist, systemd accepts them, and a restored backup serves the same."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forebay.archive.store import open_archive
from forebay.cli.app import app
from forebay.dams.dam_file import load_dam
from tests.command_line import forebay as command
from tests.web_server import copied_archive, serving

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
UNITS = sorted(DEPLOY.glob("forebay-*"))


def commands_of(text: str) -> list[list[str]]:
    """Words after `forebay` of each command in units and in the Containerfile."""
    lines = re.findall(r"^ExecStart=\S+/forebay (.*)$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines] + [
        json.loads(line) for line in re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("path", [DEPLOY / "Containerfile", *(unit for unit in UNITS if unit.suffix == ".service")])
def test_commands_exist_with_their_options(path: Path) -> None:
    commands = commands_of(path.read_text("utf-8"))
    assert len(commands) == 1
    for words in commands:
        page = command(words[0], "--help")
        assert page.code == 0 and words[0] in app
        for option in (word for word in words if word.startswith("--")):
            assert option in page.out or option in command("--help").out, option


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is absent")
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/srv/forebay/.venv/bin/forebay", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("User=forebay", "User=root"))
    for unit in UNITS:
        result = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        own = [line for line in result.stderr.splitlines() if "forebay" in line]
        assert not own, own


def test_the_page_names_every_file() -> None:
    for path in DEPLOY.iterdir():
        assert path.name in PAGE, path.name


def test_a_restored_backup_serves_the_same(site_template: Path, tmp_path: Path) -> None:
    """The two commands of the page; then the same forecast, records and tokens."""
    backup, restore = re.findall(r"^forebay (archive (?:backup|restore)) /backup/forebay.db --replace$", PAGE, re.M)
    place, new = copied_archive(site_template, tmp_path), f"sqlite:///{tmp_path}/new.db"
    with open_archive(place) as archive:
        token = archive.access.new_token("operator")
        head = archive.records.index("small")["hash"].to_list()
    file = tmp_path / "backup.db"
    assert command(*backup.split(), file, "--replace", "--archive", place).code == 0
    assert command(*restore.split(), file, "--replace", "--archive", new).code == 0
    dams = {"small": load_dam(str(site_template / "small.toml"))}
    answers = []
    for url in (place, new):
        with serving(dams, url, site_template / "runs") as (client, _, _):
            answers.append(client.get("/dams/small/forecast", params={"model": "all"}).json())
            headers = {"Authorization": f"Bearer {token}"}
            assert client.post("/dams/small/scenario", json={}, headers=headers).status_code == 200
    assert answers[0]["forecast"] == answers[1]["forecast"] != []
    with open_archive(new, create=False) as archive:
        assert archive.records.index("small")["hash"].to_list() == head
