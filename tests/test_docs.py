"""The pages say what is there: snippets run, links lead somewhere, every command, option and setting is named."""

import doctest
import re
from pathlib import Path

import pytest
from cyclopts import App

from forebay.cli.app import app
from forebay.settings import load_settings
from tests.shared import PROJECT

README = PROJECT / "README.md"
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])


def commands(of: App, *above: str) -> dict[str, App]:
    """Every command below `of` by its words, those of a group in the place of the group."""
    found: dict[str, App] = {}
    for name in of:
        if not name.startswith("-"):
            below = commands(of[name], *above, name)
            found |= below or {" ".join((*above, name)): of[name]}
    return found


COMMANDS = commands(app)

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, made as code hosts make them."""
    prose = FENCED.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_snippets_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what a snippet writes goes there
    snippets = [code for language, code in FENCED.findall(README.read_text("utf-8")) if language == "python"]
    assert snippets, "README.md shows no Python"
    there: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), there)


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text("utf-8")], ids=named)
def test_the_examples_of_a_page_give_what_it_says(page: Path) -> None:
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried
    assert not failed


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue  # the network is not asked
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{named(page)}: {link} does not exist"
        if anchor:
            assert anchor in anchors(target), f"{named(page)}: {link} has no such heading"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_with_its_options(command: str) -> None:
    text = (PROJECT / "docs" / "commands.md").read_text("utf-8")
    assert f"`forebay {command}" in text, f"docs/commands.md does not name `forebay {command}`"
    for argument in COMMANDS[command].assemble_argument_collection():
        names = argument.names
        positional = argument.field_info.is_positional
        written = [argument.name.removeprefix("--").upper()] if positional else list(names)
        assert any(re.search(rf"(?<![\w-]){name}(?![\w-])", text) for name in written), (
            f"docs/commands.md does not name {' or '.join(written)} of `forebay {command}`"
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_in_its_help(command: str) -> None:
    assert f"Example: forebay {command}" in str(COMMANDS[command].help)


def test_every_setting_is_documented_and_no_other(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "settings.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([a-zA-Z0-9_.]+)` \|", text, re.MULTILINE))
    _, origin = load_settings(tmp_path, {})
    assert documented == {re.sub(r"^sources\.\w+\.", "sources.NAME.", key) for key in origin}


def test_every_key_of_a_dam_file_is_documented() -> None:
    from forebay.dams import csv_layout, curves, dam, forcing, gauge, hindcast, thresholds

    page = (PROJECT / "docs" / "dam_file.md").read_text("utf-8")
    models = (
        dam.Dam,
        dam.Target,
        gauge.Gauge,
        csv_layout.FileLayout,
        hindcast.Hindcast,
        hindcast.Window,
        dam.DatumOffset,
        gauge.Sentinels,
        gauge.HydstraSeries,
        forcing.Forcing,
        forcing.ForcingFile,
    )
    for model in (*models, thresholds.ReferenceLevel, thresholds.RulePoint, thresholds.Threshold, curves.StorageCurve):
        for name, field in model.model_fields.items():
            if not field.exclude:
                key = field.alias or name
                assert f"`{key}`" in page or f"{key} = " in page, (
                    f"docs/dam_file.md does not name {model.__name__}.{key}"
                )
