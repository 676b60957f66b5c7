#!/usr/bin/env python3
"""Check that names and prose are plain technical English: check_language.py [ROOT].

Three rules; each violation is printed as `file:line: sentence`, and the exit status is 1 if there is any.

1. Names. A name that `src` binds (module, class, function, parameter, variable, field) has no part from `NAME_PARTS`
   and is not one of `WHOLE_NAMES`. A name is split at underscores and capitals. Exception: `# name: REASON`.
2. Phrases. Pages, templates, comments and texts in `src` contain no metaphor and no phrase from `PHRASES`.
   Exception: `<!-- language: REASON -->` on the line of a page, `# language: REASON` on the line of a program.
3. Sentences. A sentence of a page has at most 30 words. Tables, code, formulas and headings do not count.
   Exception: `<!-- language: REASON -->` on any line of the paragraph.

The script needs the standard library only.
"""

import ast
import io
import re
import sys
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NAME_PARTS = frozenset(
    {
        "made", "told", "said", "came", "found", "given", "kept", "asked", "shown", "beside", "held", "drawn",
        "seen", "done", "wanted", "meant", "taken", "gone", "brought", "elsewise", "hushed", "drilled", "foretold",
        "unsaid", "apart", "alike", "whose", "those", "spoken", "heard", "thought", "believed", "called", "sought",
        "lent", "owed", "silenced", "chosen",
    }
)
"""Participles and pronouns that say what happened to a value instead of what the value is."""

WHOLE_NAMES = frozenset({"this", "other", "more", "its"})
"""Pronouns that are wrong as a whole name and right as a part (`other_gauges`)."""

MAX_WORDS = 30

SILENT = r"(?:gauge|level|river|day|driver|station|spell|input)s?"
PHRASES = {
    r"the (?:house|rooms?)|rooms (?:above|before|below)|a room": "package, layer",
    r"doors?": "interface, entry point",
    r"grounds for": "evidence for",
    r"walks? through": "passes through",
    r"drill(?:s|ed)?": "simulated outage",
    rf"silent {SILENT}|{SILENT} (?:is|are|was|were|falls?|fell|had been) silent|(?:taken )?for silent": "missing",
    r"silences?|hushed": "outage, missing data",
    r"moods?": "state",
    r"riddles?|anecdotes?|foretold|elsewise|unsaid": "the technical term",
    r"speaks? (?:against|of|for)": "contradicts, describes, supports",
    r"doubt(?:s|ed|ful)?": "flag, suspect",
    r"what (?:a|the|an?other) [\w ]{1,20} brings": "baseline, effect",
    r"what came|than came|(?:rise|change|level) that came": "observed",
    r"how far apart .{0,40}? lies?": "spread",
    r"(?:cannot|can|could|to|may|must|not) be told|(?:is|are|was|were) told": "determined, described",
    r"tells": "shows, gives",
    r"whether (?:its|the|their) (?:\w+ )?(?:hold|holds)": "whether they are reliable",
    r"says so": "reports it",
    r"nobody (?:could|can) (?:know|tell|say)": "unknown",
    r"honest": "calibrated, reliable",
    r"the (?:same )?story|tallies": "tables, results",
    r"lend|lends|lent|borrows?": "supplies",
    r"by heart|by luck|at heart|to mend|next to nothing|near to hand|at hand": "a literal phrase",
    r"as it (?:then )?(?:came|fell)": "observed",
    r"never a word|without a word": "without an error",
    r"goes? astray|astray": "deviates",
}
"""Regular expressions of what is refused (whole words, any case), and what to write instead."""

_PHRASES = [(re.compile(rf"\b(?:{p})\b".replace(" ", r"\s+"), re.IGNORECASE), better) for p, better in PHRASES.items()]
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAME_EXCEPTION = re.compile(r"# name: \S")
_LANGUAGE_EXCEPTION = re.compile(r"(?:#|<!--) language: \S")
_FENCE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1`*~*[ \t]*$", re.MULTILINE | re.DOTALL)
_BLOCK_START = re.compile(r"^(?: *(?:[-*+] |\d+[.)] )|#|\||>|:::|\[[^\]]+\]:|!\[| {4,}\S)")
_SENTENCE_END = re.compile(r"[.!?][*_)”\"]*\s+(?=[\W\d_]*[A-ZÀ-Þ`\d])")


class Violation(NamedTuple):
    """One place that breaks a rule."""

    path: Path
    line: int
    message: str


def bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module binds, with its line: definitions, parameters, variables, fields and aliases."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)) | ast.ClassDef(name=str(name)):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((alias.asname, alias.lineno) for alias in aliases if alias.asname)


def check_names(path: Path, text: str) -> Iterator[Violation]:
    """Bound names of a Python module that have a refused part or are refused as a whole."""
    lines = text.splitlines()
    for name, line in [(path.stem, 1), *bound_names(ast.parse(text))]:
        if lines and _NAME_EXCEPTION.search(lines[line - 1]):
            continue
        refused = {part.lower() for part in _PART.findall(name)} & NAME_PARTS
        if name.strip("_").lower() in WHOLE_NAMES:
            yield Violation(path, line, f"name '{name}' is a pronoun; name the value by what it is")
        elif refused:
            part = ", ".join(sorted(refused))
            yield Violation(path, line, f"name '{name}' has the part '{part}'; name the value by what it is")


def check_phrases(path: Path, text: str, *, first_line: int = 1) -> Iterator[Violation]:
    """Phrases from `PHRASES` in a text, except on lines with the exception marker."""
    lines = text.splitlines()
    starts = _line_starts(text)
    for pattern, better in _PHRASES:
        for match in pattern.finditer(text):
            line = bisect_right(starts, match.start())
            last = bisect_right(starts, match.end() - 1)
            if not _LANGUAGE_EXCEPTION.search("\n".join(lines[line - 1 : last])):
                phrase = " ".join(match.group().split())
                yield Violation(path, first_line + line - 1, f"'{phrase}' is not plain; write instead: {better}")


def check_program(path: Path, text: str) -> Iterator[Violation]:
    """Phrases in the comments and texts of a Python module; its identifiers are the matter of `check_names`."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_text = token.type in {tokenize.COMMENT, tokenize.STRING} or tokenize.tok_name[token.type] == "FSTRING_MIDDLE"
        if is_text and not _LANGUAGE_EXCEPTION.search(lines[token.end[0] - 1]):
            yield from check_phrases(path, token.string, first_line=token.start[0])


def check_sentences(path: Path, text: str) -> Iterator[Violation]:
    """Sentences of a Markdown page with more than `MAX_WORDS` words."""
    for line, paragraph in paragraphs(text):
        if _LANGUAGE_EXCEPTION.search(paragraph):
            continue
        start = 0
        for end in [*(match.end() for match in _SENTENCE_END.finditer(paragraph)), len(paragraph)]:
            sentence = paragraph[start:end]
            words = count_words(sentence)
            if words > MAX_WORDS:
                opening = " ".join(sentence.split()[:6])
                at = line + paragraph.count("\n", 0, start)
                yield Violation(path, at, f"a sentence has {words} words, at most {MAX_WORDS}: '{opening} …'")
            start = end


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """First line and text of each paragraph and list item of a Markdown page; no code, table or heading."""
    text = _FENCE.sub(lambda match: "\n" * match.group().count("\n"), text)
    block: list[str] = []
    first = 1
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        starts = bool(_BLOCK_START.match(line)) and not (block and line.startswith("    "))
        if block and (starts or not line.strip()):
            yield first, "\n".join(block)
            block = []
        if line.strip() and not re.match(r"^ *(?:#|\||:::|<!--|\[[^\]]+\]:)", line):
            first = first if block else number
            block.append(line)


def count_words(sentence: str) -> int:
    """Number of words; a piece of code and a link's text count, addresses, numbers and formulas do not."""
    sentence = re.sub(r"\]\([^)]*\)", "]", sentence)
    sentence = re.sub(r"`[^`]+`", "code", sentence)
    sentence = re.sub(r"\$[^$]+\$", "", sentence)
    return sum(1 for word in re.split(r"[\s—–]+", sentence) if re.search(r"[A-Za-zÀ-ÿ]{2,}|\b[aAI]\b", word))


def check(root: Path) -> list[Violation]:
    """Every violation in the project's programs and pages, by file and line."""
    violations: list[Violation] = []
    for path in sorted((root / "src").rglob("*.py")):
        text = path.read_text("utf-8")
        violations += [*check_names(path, text), *check_program(path, text)]
    for path in sorted(p for p in (root / "src").rglob("*") if p.suffix in {".html", ".j2", ".jinja"}):
        violations += check_phrases(path, path.read_text("utf-8"))
    for path in pages(root):
        text = path.read_text("utf-8")
        violations += [*check_phrases(path, _FENCE.sub(lambda m: "\n" * m.group().count("\n"), text))]
        violations += check_sentences(path, text)
    return sorted(violations)


def pages(root: Path) -> list[Path]:
    """The Markdown pages of the project: at the top and in `docs`, without what a build writes."""
    below = (page for page in (root / "docs").rglob("*.md") if "_build" not in page.parts)
    return sorted([*root.glob("*.md"), *below])


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def main(arguments: list[str]) -> int:
    """Print every violation; 1 if there is any."""
    root = Path(arguments[0] if arguments else Path(__file__).resolve().parent.parent).resolve()
    violations = check(root)
    for path, line, message in violations:
        print(f"{path.relative_to(root)}:{line}: {message}")
    if violations:
        print(f"{len(violations)} violations of the language rules (scripts/check_language.py lists them)")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
