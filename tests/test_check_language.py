"""The language check: each rule refuses a bad sample, accepts a good one, and has an exception with a reason."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.shared import PROJECT


def load_script() -> ModuleType:
    """The script as a module; `scripts` is not a package."""
    spec = importlib.util.spec_from_file_location("check_language", PROJECT / "scripts" / "check_language.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # NamedTuple needs its module in `sys.modules`
    spec.loader.exec_module(module)
    return module


check_language = load_script()
MODULE = Path("sample.py")
PAGE = Path("sample.md")


def write_project(root: Path, *, module: str = "", page: str = "# Page\n") -> Path:
    """A project with one module and one page."""
    (root / "src").mkdir()
    (root / "docs").mkdir()
    (root / "src" / "sample.py").write_text(module, "utf-8")
    (root / "docs" / "sample.md").write_text(page, "utf-8")
    return root


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "rows_found: int = 1",
        "def made(): ...",
        "async def read_kept(): ...",
        "class DaysShown: ...",
        "def read(asked): ...",
        "def read(*, given=1): ...",
        "lambda held: 1",
        "for said in (): ...",
        "with open('f') as done: ...",
        "import os as told",
        "from os import path as wanted",
        "try: ...\nexcept OSError as found: ...",
        "self.forcings_told = 1",
        "[found for found in ()]",
        "(found := 1)",
        "match 1:\n    case found: ...",
        "this = 1",
        "def read(other): ...",
        "more = 1",
        "its = 1",
    ],
)
def test_a_participle_or_pronoun_as_a_name_is_refused(code: str) -> None:
    assert list(check_language.check_names(MODULE, code))


@pytest.mark.parametrize(
    "code",
    [
        "levels = 1",
        "other_gauges = 1",
        "foundation = 1",
        "maded = 1",
        "print(found)",
        "row.found",
        "found = 1  # name: the key of an agency's JSON",
        "from forebay import dams",
    ],
)
def test_a_noun_a_use_and_a_name_with_a_reason_are_accepted(code: str) -> None:
    assert not list(check_language.check_names(MODULE, code))


def test_a_module_is_checked_by_its_file_name() -> None:
    assert list(check_language.check_names(Path("told.py"), ""))


def test_an_exception_without_a_reason_does_not_count() -> None:
    assert list(check_language.check_names(MODULE, "found = 1  # name:"))


@pytest.mark.parametrize(
    "phrase",
    ["The house", "a drill", "it is a silent gauge", "Grounds for it", "what a usual day brings", "walks\nthrough"],
)
def test_a_metaphor_is_refused_in_pages_comments_and_texts(phrase: str) -> None:
    assert list(check_language.check_phrases(PAGE, phrase))
    assert list(check_language.check_program(MODULE, f'"""{phrase}"""\n'))
    assert list(check_language.check_program(MODULE, f"x = 1  # {' '.join(phrase.split())}\n"))


def test_every_phrase_of_the_list_has_a_better_one() -> None:
    assert all(check_language.PHRASES.values())


@pytest.mark.parametrize("text", ["The roomy flood", "the household", "a drilling machine", "groundwater"])
def test_a_word_that_only_contains_a_phrase_is_accepted(text: str) -> None:
    assert not list(check_language.check_phrases(PAGE, text))


def test_a_phrase_with_a_reason_is_accepted() -> None:
    assert not list(check_language.check_phrases(PAGE, "a drill <!-- language: a quoted title -->"))
    assert not list(check_language.check_program(MODULE, "x = 'a drill'  # language: a quoted title\n"))


def test_identifiers_are_not_checked_for_phrases() -> None:
    assert not list(check_language.check_program(MODULE, "tells = doubt\n"))


def test_a_long_sentence_is_refused_with_its_line() -> None:
    page = "# Page\n\nShort one. Word " + "word " * 29 + "end.\n"
    assert not list(check_language.check_sentences(PAGE, page.replace("word ", "", 1)))
    (violation,) = check_language.check_sentences(PAGE, page)
    assert violation.line == 3
    assert "31 words" in violation.message


@pytest.mark.parametrize(
    "page",
    [
        "```\n" + "word " * 40 + "\n```\n",
        "| a | b |\n| --- | --- |\n| " + "word " * 40 + "| c |\n",
        "- " + "word " * 20 + "\n- " + "word " * 20 + "\n",
        "word " * 20 + "\n\n" + "word " * 20,
        "word " * 20 + "code `" + "word " * 20 + "`.",
        "word " * 20 + ". Next " + "word " * 20,
        "1.5, 2.5, " * 40,
        "word " * 40 + "<!-- language: a citation -->",
    ],
)
def test_code_tables_items_and_numbers_are_no_long_sentences(page: str) -> None:
    assert not list(check_language.check_sentences(PAGE, page))


def test_the_exit_status_is_1_if_anything_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_project(tmp_path, module="found = 1\n", page="The house.\n")
    assert check_language.main([str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("docs/sample.md:1: ")
    assert lines[1].startswith("src/sample.py:1: ")
    assert lines[-1].startswith("2 violations")


def test_the_exit_status_is_0_if_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_language.main([str(write_project(tmp_path, module="levels = 1\n"))]) == 0
    assert capsys.readouterr().out == ""


def test_templates_are_checked(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    (root / "src" / "page.html.j2").write_text("<p>the house</p>\n", "utf-8")
    assert [violation.path.name for violation in check_language.check(root)] == ["page.html.j2"]
