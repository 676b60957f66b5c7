"""Results of the public interface: each has a main table, for Polars or pandas, and a short form for a notebook."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import ConfigError

if TYPE_CHECKING:
    import pandas

REPR_ROWS = 10
"""Rows of the table that a notebook shows."""


class Result(ABC):
    """A result with one main table."""

    @abstractmethod
    def to_frame(self) -> pl.DataFrame:
        """The main table."""

    @abstractmethod
    def title(self) -> str:
        """One line: what the result is, of which dam, of which days."""

    def to_pandas(self) -> pandas.DataFrame:
        """The main table as a pandas frame.

        Raises
        ------
        ConfigError
            If pandas or pyarrow is not installed (extra `pandas`).
        """
        require_extra("pandas", "pandas", "pyarrow")
        return self.to_frame().to_pandas()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title()}>"

    def _repr_html_(self) -> str:
        """The title and the first rows of the main table."""
        return f"<p><b>{html.escape(self.title())}</b></p>{self.to_frame().head(REPR_ROWS)._repr_html_()}"


def require_extra(extra: str, *modules: str) -> None:
    """Raise `ConfigError` unless every module of an extra is installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        names = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        raise ConfigError(f"{names}; install the extra {extra}: pip install 'forebay[{extra}]'")
