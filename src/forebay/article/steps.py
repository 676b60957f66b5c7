"""The article's steps, side by side in Python, in Elixir and with forebay; `steps.toml` has the code."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Step:
    """One step of the article.

    Attributes
    ----------
    python, elixir
        Our code with the libraries of the article.
    forebay
        The call that does the same.
    note
        What differs.
    """

    name: str
    title: str
    note: str
    python: str
    elixir: str
    forebay: str


@cache
def read_steps() -> tuple[Step, ...]:
    """The steps in the order of the article."""
    text = (resources.files("forebay.article") / "steps.toml").read_text("utf-8")
    steps = tomllib.loads(text)["steps"]
    return tuple(Step(**{key: value.strip("\n") for key, value in step.items()}) for step in steps)
