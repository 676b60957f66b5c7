"""The import structure: no cycle, and no import chain that is longer than the order of packages needs."""

import ast
from functools import cache
from pathlib import Path

from tests.shared import PROJECT

SOURCE = PROJECT / "src"
MAX_CHAIN = 15
"""With a longer chain, a change of the lowest module can break unrelated modules."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def imported_modules(module: str) -> set[str]:
    """Modules of forebay that an import of `module` imports, without imports for type checkers."""
    modules = set()
    for node in MODULES[module].body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            modules |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return (modules & set(MODULES)) - {module}


@cache
def longest_chain(module: str) -> tuple[str, ...]:
    """The longest chain of imports from `module`; a cycle ends in a RecursionError."""
    return (module, *max((longest_chain(name) for name in imported_modules(module)), key=len, default=()))


def test_no_import_chain_is_too_long() -> None:
    chain = max(map(longest_chain, MODULES), key=len)
    assert len(chain) <= MAX_CHAIN, " → ".join(chain)
    assert len(chain) > 5, "the chain is computed from real imports"


def test_the_top_level_has_these_modules_only() -> None:
    names = {path.stem for path in (SOURCE / "forebay").glob("*.py")}
    assert names == {"__init__", "errors", "text", "log", "tables", "services", "settings", "metrics", "files"}
