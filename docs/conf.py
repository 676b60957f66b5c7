"""Sphinx's configuration: Markdown pages and an API reference from docstrings; no network."""

import re
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
PROJECT = DOCS.parent
TOP_PAGES = {"contributing": PROJECT / "CONTRIBUTING.md", "changelog": PROJECT / "CHANGELOG.md"}
"""Pages of the site that are files at the project's top."""

project = "forebay"
author = "the forebay project"
version = release = installed_version("forebay")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "notebooks"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "forebay"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_copy_source = False

myst_heading_anchors = 4

default_role = "literal"  # docstrings write `name`, as Markdown does
autosummary_generate = True
autosummary_ignore_module_all = False  # a package without `__all__` lists its modules
autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
suppress_warnings = ["ref.python"]  # types of several modules share a name (`Progress`): an annotation names no module
napoleon_use_ivar = True  # else autodoc describes a field and napoleon describes it again

QUOTED = re.compile(r"(`[^`]*`)")
MARKUP = re.compile(r"\||(?<=\w)_(?!\w)")
"""Characters of a docstring that are markup in reStructuredText and plain text here: |f − o|, `name_`."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)((?:#[^)\s]*)?)\)")


def replace_links(text: str, folder: Path) -> str:
    """Text of a page in `folder` with links that work on the site.

    A link to a file of the project outside of `docs` becomes the name of that file: the site has no source code.
    """

    def replace(match: re.Match[str]) -> str:
        label, address, anchor = match.groups()
        if re.match(r"[a-z]+:", address):
            return match.group()
        target = (folder / address).resolve()
        for page, path in TOP_PAGES.items():
            if target == path:
                target = DOCS / f"{page}.md"
        if target.is_relative_to(DOCS):
            return f"[{label}](/{target.relative_to(DOCS)}{anchor})"
        path_name = str(target.relative_to(PROJECT))
        return f"`{path_name}`" if label in path_name else f"{label} (`{path_name}`)"

    return LINK.sub(replace, text)


def read_page(app: Sphinx, page: str, content: list[str]) -> None:
    """Replace a page of the site before it is parsed: its links, or all of it if it is a file at the project's top."""
    source = Path(app.env.doc2path(page))
    if page in TOP_PAGES:
        content[0] = replace_links(TOP_PAGES[page].read_text("utf-8"), PROJECT)
    elif source.suffix == ".md":
        content[0] = replace_links(content[0], source.parent)


def escape_docstring(app: Sphinx, kind: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Escape markup characters in the text of a docstring; code in quotes, examples and literal blocks stay."""
    literal_indent = None  # of the line that starts a literal block
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() and literal_indent is not None and indent <= literal_indent:
            literal_indent = None
        if literal_indent is None and not line.lstrip().startswith((">>>", "...")):
            parts = QUOTED.split(line)
            parts[::2] = [MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
            lines[number] = "".join(parts)
            if line.rstrip().endswith("::"):
                literal_indent = indent


def setup(app: Sphinx) -> None:
    """Register the functions that change pages and docstrings."""
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", escape_docstring)
