"""Rules of alerts in a file of their own, for built-in dams and for dam files that others maintain."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from forebay.dams.alert_rules import AlertRule
from forebay.dams.dam import Dam, check_alerts
from forebay.dams.dam_file import MAX_BYTES, first_error, tuples
from forebay.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "alerts.toml"
"""Name of the file beside a dam file."""


def read_alert_rules(path: Path, dam: Dam) -> tuple[AlertRule, ...]:
    """The rules of a dam in a file: a list of tables per dam id (``[[warragamba]]``); empty if it has none of the dam.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a rule is wrong: names file, key, value and allowed values.
    """
    tables = _content(path, dam).get(dam.id, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: {dam.id} must be a list of tables: [[{dam.id}]]")
    rules = []
    for number, table in enumerate(tables, start=1):
        try:
            rules.append(AlertRule.model_validate(tuples(table), strict=True))
        except ValidationError as error:
            raise ConfigError(f"{path}: {dam.id}[{number}]: {first_error(error, AlertRule)}") from None
    return combined_rules(rules, dam, str(path))


def dams_with_rules(path: Path, dam: Dam) -> list[str]:
    """Ids in a file of alert rules that `read_alert_rules` has read for a dam."""
    return list(_content(path, dam))


def _content(path: Path, dam: Dam) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is longer than {MAX_BYTES} bytes, the limit for a file of alert rules")
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        raise ConfigError(f"{path} is not valid TOML in UTF-8; write a list of tables per dam, [[{dam.id}]]") from None


def combined_rules(rules: list[AlertRule], dam: Dam, where: str) -> tuple[AlertRule, ...]:
    """`rules`, if they fit the dam; else a `ConfigError` that names the file."""
    try:
        check_alerts(rules, dam)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    return tuple(rules)
