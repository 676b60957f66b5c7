"""Pages and program agree: snippets run, links exist, and every command, option, setting and key is documented."""

import configparser
import doctest
import pkgutil
import re
import shlex
import shutil
import subprocess
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from cyclopts import App

from forebay.cli.app import app
from forebay.report.sections import SECTIONS
from forebay.settings import load_settings
from tests.command_line import forebay
from tests.shared import PROJECT

README = PROJECT / "README.md"
TUTORIAL = PROJECT / "docs" / "tutorial.md"
PAGES = sorted([*PROJECT.glob("*.md"), *(p for p in (PROJECT / "docs").rglob("*.md") if "_build" not in p.parts)])


def commands(group: App, *words: str) -> dict[str, App]:
    """Every command of a group by its words; a nested group is replaced by its commands."""
    by_words: dict[str, App] = {}
    for name in group:
        if not name.startswith("-"):
            members = commands(group[name], *words, name)
            by_words |= members or {" ".join((*words, name)): group[name]}
    return by_words


COMMANDS = commands(app)

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def page_name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, in the form that code hosts use."""
    prose = FENCED.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a page in one language."""
    return [code for name, code in FENCED.findall(page.read_text("utf-8")) if name == language]


def run_snippets(page: Path) -> None:
    """Run a page's Python blocks one after the other, in one namespace."""
    snippets = blocks(page, "python")
    assert snippets, f"{page_name(page)} has no Python block"
    namespace: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, page.name, "exec"), namespace)


@pytest.mark.slow
def test_the_readme_snippets_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a snippet writes files to the current folder
    run_snippets(README)


def test_the_commands_of_the_tutorial_write_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///forebay.db")
    monkeypatch.setenv("FOREBAY_CACHE", str(tmp_path / "cache"))
    run_snippets(TUTORIAL)
    (dam_file,) = blocks(TUTORIAL, "toml")
    Path("lake.toml").write_text(dam_file, "utf-8")

    outputs = []
    for command in "".join(blocks(TUTORIAL, "sh")).splitlines():
        program, *arguments = shlex.split(command)
        assert program == "forebay"
        result = forebay(*arguments)
        assert (result.code, result.err) == (0, ""), command
        outputs.append(result.out)

    text = TUTORIAL.read_text("utf-8")
    assert Path("lake.csv").read_text("utf-8").splitlines()[-1] in text  # the record that the page shows
    assert "1884" in outputs[0]
    assert "forecast as of 2024-02-27" in outputs[1]
    assert outputs[1].endswith("Report: runs/lake/report.html\n")
    for name in re.findall(r"`([a-z]+\.(?:csv|parquet))`", text[text.index("## Step 6") :]):
        assert Path("runs/lake", name).exists(), name

    # The errors that the page shows, to three digits.
    scores = pl.read_csv("runs/lake/scores.csv").filter(
        (pl.col("window") == "all") & (pl.col("regime") == "all") & (pl.col("metric") == "mae")
    )
    for lead_time, count, default, damped_change in re.findall(r"\| (\d) d \| (\d+) \| (0\.\d+) \| (0\.\d+) \|", text):
        rows = {row["model"]: row for row in scores.filter(pl.col("lead_time") == int(lead_time)).to_dicts()}
        assert rows["default"]["n"] == int(count)
        assert rows["default"]["value"] == pytest.approx(float(default), rel=0.03)
        assert rows["damped_change"]["value"] == pytest.approx(float(damped_change), rel=0.03)


def test_the_commands_of_the_page_on_new_dams_make_a_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line that the page shows stands in the file or in the output."""
    page = PROJECT / "docs" / "new_dam.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_ARCHIVE", "sqlite:///forebay.db")
    monkeypatch.setenv("FOREBAY_CACHE", str(tmp_path / "cache"))
    run_snippets(page)
    outputs = []
    for command in "".join(blocks(page, "sh")).splitlines():
        _, *arguments = shlex.split(command)
        result = forebay(*arguments)
        assert (result.code, result.err) == (0, ""), command
        outputs.append(result.out)
    record, decisions = blocks(page, "")
    assert Path("export.csv").read_text("cp1252").startswith(record.rstrip("\n"))
    lines = [[cell.strip() for cell in line.split("│")] for line in outputs[0].splitlines()]
    for line in decisions.splitlines():
        cells = [cell.strip() for cell in line.rstrip("│ ").split("│")]
        assert any(cells == row[: len(cells)] for row in lines), line
    assert Path("ejemplo_record.png").exists()
    assert outputs[1].endswith("Report: runs/ejemplo/report.html\n")


@pytest.mark.parametrize("page", [page for page in PAGES if ">>>" in page.read_text("utf-8")], ids=page_name)
def test_the_examples_of_a_page_give_the_printed_results(page: Path) -> None:
    failures, examples = doctest.testfile(str(page), module_relative=False)
    assert examples
    assert not failures


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_targets_of_links_between_pages_exist(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue  # tests use no network
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page_name(page)}: {link} does not exist"
        if anchor:
            assert anchor in anchors(target), f"{page_name(page)}: {link} has no heading with that anchor"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    for path in re.findall(r"(?<!New file )`((?:[a-z_]+/)+[a-z_]+\.py)`", page.read_text("utf-8")):
        roots = (PROJECT, PROJECT / "src", PROJECT / "src" / "forebay")
        assert any((root / path).exists() for root in roots), f"{page_name(page)}: {path} does not exist"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_name)
def test_the_modules_and_objects_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`(forebay(?:\.\w+)+)`", page.read_text("utf-8")):
        if not name.endswith((".db", ".toml")):
            pkgutil.resolve_name(name)  # raises if it does not exist


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


def test_the_options_of_every_command_are_documented() -> None:
    text = (PROJECT / "docs" / "commands.md").read_text("utf-8")
    options = [name for argument in app.meta.assemble_argument_collection() for name in argument.names]
    assert {"--log-level", "--log-json"} <= set(options)
    assert [name for name in options if name.startswith("--") and f"`{name}" not in text] == []


def test_every_step_of_the_log_is_documented() -> None:
    page = (PROJECT / "docs" / "commands.md").read_text("utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `step` |"))
    sources = [path.read_text("utf-8") for path in (PROJECT / "src").rglob("*.py")]
    steps = {name for text in sources for name in re.findall(r"\bstep\(\"([a-z_]+)\"", text)}
    steps |= {name for text in sources for name in re.findall(r"\bwrite\(logging\.[A-Z]+, \"([a-z_]+)\"", text)}
    assert len(steps) > 15
    assert {name for name in steps if not re.search(rf"\b{name}\b", row)} == set()


def test_the_lines_for_a_scheduler_are_commands_and_have_a_time_zone() -> None:
    page = PROJECT / "docs" / "operation.md"
    service, timer = (configparser.ConfigParser() for _ in range(2))
    for parser, text in zip((service, timer), blocks(page, "ini"), strict=True):
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
        parser.read_string(text)
    *_, zone = timer["Timer"]["OnCalendar"].split()
    (cron,) = blocks(page, "text")
    zone_line, schedule = cron.splitlines()
    assert zone_line == f"CRON_TZ={ZoneInfo(zone).key}"
    minute, hour = schedule.split()[:2]
    assert timer["Timer"]["OnCalendar"] == f"*-*-* {int(hour):02}:{minute}:00 {zone}"
    in_cron = schedule.partition("forebay refresh ")[2].partition(" >")[0]
    for words in (service["Service"]["ExecStart"].partition("forebay refresh ")[2], in_cron):
        options = [word for word in shlex.split(words) if word != "--log-json"]  # an option of every command
        command, bound, _ = app.parse_args(["refresh", *options], exit_on_error=False, print_error=False)
        assert command.__name__ == "refresh"
        assert bound.arguments["dam_names"] == ("warragamba", "lake.toml")
    if shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "calendar", timer["Timer"]["OnCalendar"]], check=True, capture_output=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_in_its_help(command: str) -> None:
    assert f"Example: forebay {command}" in str(COMMANDS[command].help)


def test_every_section_of_the_report_is_explained() -> None:
    headings = re.findall(r"^## (.+)$", (PROJECT / "docs" / "report.md").read_text("utf-8"), re.MULTILINE)
    titles = [section.title for section in SECTIONS]
    assert [heading for heading in headings if heading in titles] == titles


def test_every_term_of_the_glossary_is_used() -> None:
    glossary = PROJECT / "docs" / "glossary.md"
    sources = [*(page for page in PAGES if page != glossary), *(PROJECT / "src").rglob("*.py")]
    text = re.sub(r"[\s_(]+", " ", " ".join(source.read_text("utf-8") for source in sources)).lower()
    rows = re.findall(r"^\| ([^|]+) \|", glossary.read_text("utf-8"), re.MULTILINE)
    terms = {term for row in rows for term in re.sub(r" \(.*\)", "", row).split(", ")} - {"term", "---"}
    assert {term for term in terms if term.lower() not in text} == set()


def test_every_setting_is_documented_and_no_other(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "settings.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([a-zA-Z0-9_.]+)` \|", text, re.MULTILINE))
    _, origin = load_settings(tmp_path, {})
    assert documented == {re.sub(r"^sources\.\w+\.", "sources.NAME.", key) for key in origin}


def test_every_key_of_a_dam_file_is_documented() -> None:
    from forebay.dams import conversion, csv_layout, curves, dam, forcing, gauge, hindcast, thresholds, weather

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
        gauge.AcceptedSpell,
        conversion.ReadingsFrom,
        forcing.Forcing,
        forcing.ForcingFile,
        weather.Weather,
    )
    for model in (*models, thresholds.ReferenceLevel, thresholds.RulePoint, thresholds.Threshold, curves.StorageCurve):
        for name, field in model.model_fields.items():
            if not field.exclude:
                key = field.alias or name
                assert f"`{key}`" in page or f"{key} = " in page, (
                    f"docs/dam_file.md does not name {model.__name__}.{key}"
                )


def test_every_key_of_an_alert_rule_is_documented_with_its_default() -> None:
    from forebay.dams.alert_rules import AlertRule

    page = (PROJECT / "docs" / "alerts.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page.split("## Rules")[1].split("\n## ")[0], re.MULTILINE))
    assert rows.keys() == AlertRule.model_fields.keys()
    for name, text in rows.items():
        default = AlertRule.model_fields[name].default
        if re.fullmatch(r"`?\w+`?", text) and text not in ("required", "none"):
            assert str(default).lower() == text.strip("`").lower(), name


def test_the_defaults_of_a_gauges_keys_are_documented() -> None:
    from forebay.dams.csv_layout import FileLayout
    from forebay.dams.gauge import Gauge

    page = (PROJECT / "docs" / "dam_file.md").read_text("utf-8")
    gauge_table, file_table = page.split("## Gauges\n")[1].split("\n## ")[0].split("The table `file`:")
    documented: dict[str, str] = {}
    for table, model in ((gauge_table, Gauge), (file_table, FileLayout)):
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \| ", table, re.MULTILINE)
        for keys, defaults in rows:
            names, texts = re.findall(r"`(\w+)`", keys), defaults.split(", ") if ", " in defaults else [defaults]
            documented |= {
                f"{model.__name__}.{name}": text
                for name, text in zip(names, texts, strict=False)
                if re.fullmatch(r"[\w.:%,-]+", text) and not model.model_fields[name].is_required()
            }
    models = {"Gauge": Gauge, "FileLayout": FileLayout}
    defaults = {key: models[key.partition(".")[0]].model_fields[key.partition(".")[2]].default for key in documented}
    texts = {
        key: f"{default:%H:%M}" if isinstance(default, time) else str(default).lower().removesuffix(".0")
        for key, default in defaults.items()
    }
    assert texts == {key: text.lower() for key, text in documented.items()}
    assert {"Gauge.share_required", "Gauge.scale", "Gauge.offset", "Gauge.stamp", "Gauge.latency_h",
            "FileLayout.date_format", "FileLayout.encoding", "FileLayout.separator"} <= documented.keys()  # fmt: skip


def test_the_table_of_variables_is_that_of_the_code() -> None:
    from forebay.dams.variables import VARIABLES

    page = (PROJECT / "docs" / "dam_file.md").read_text("utf-8")
    section = page.split("## Variables\n")[1].split("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if "`" in line]
    assert [row for row in rows if len(row) == 4] == [
        (f"`{v.name}`", ", ".join(v.units), v.aggregate, f"{v.plausible[0]:,.10g} to {v.plausible[1]:,.10g} {v.unit}")
        for v in VARIABLES.values()
    ]


def test_the_default_margins_of_near_full_are_documented() -> None:
    from forebay.dams.dam_file import load_dam
    from forebay.features.full_supply import near_full_margin

    page = (PROJECT / "docs" / "dam_file.md").read_text("utf-8")
    assert "is 0.5 m for a level, 2% of the full supply of the day for a storage, and 2 points for a percentage" in page
    days = pl.Series([date(2020, 1, 1)])
    demo = load_dam("demo")
    demo = demo.model_copy(update={"hindcast": demo.hindcast.model_copy(update={"near_full_margin": None})})
    assert near_full_margin(demo, days).to_list() == [0.5]
    storage = demo.model_copy(update={"target": demo.target.model_copy(update={"variable": "storage", "unit": "ML"})})
    assert near_full_margin(storage, days).to_list() == [0.02 * 186.5]
