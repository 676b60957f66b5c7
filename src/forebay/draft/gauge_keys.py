"""Tables of a dam file for gauges and storage curves."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.dams.variables import VARIABLES
from forebay.draft.dam_text import TomlTable

if TYPE_CHECKING:
    from forebay.draft.answers import Answers
    from forebay.draft.curve import CurveDraft
    from forebay.draft.gauges import GaugeDraft

_COMMENTED = ("variable", "unit", "reading", "reading_at", "stamp")


def curve_table(curve: CurveDraft, folder: Path) -> TomlTable:
    """Table of a storage curve, for a dam file in `folder`."""
    keys = {
        "level_unit": curve.level_unit,
        "storage_unit": curve.storage_unit,
        "file": {"path": relative_path(curve.path, folder), **curve.keys},
    }
    return TomlTable("[[storage_curves]]", keys, {"survey_date": "Unknown: add survey_date = 2011-05-31, or the like."})


def gauge_table(gauge: GaugeDraft, gauges: Sequence[GaugeDraft], answers: Answers, folder: Path) -> TomlTable:
    """Table of a gauge with its file, for a dam file in `folder`.

    Parameters
    ----------
    gauges
        All gauges of the dam: two of one variable need different stations.
    """
    key = gauge.series.key
    keys: dict[str, object] = {
        "role": gauge.role,
        "source": "csv",
        "station": _station(gauge, gauges),
        "name": re.sub(r"[_\s]+", " ", gauge.series.name).strip() or gauge.role,
        "variable": gauge.variable,
        "unit": gauge.unit,
        **gauge.times.keys(VARIABLES[gauge.variable].aggregate),
    }
    if gauge.reading_at is not None:
        keys |= {"reading": "instantaneous", "reading_at": gauge.reading_at}
    if gauge.stamp is not None:
        keys["stamp"] = gauge.stamp
    if gauge.is_accumulated:
        keys["reading"] = "accumulated"
    keys["file"] = _file_keys(gauge, folder)
    reasons = {decision.key: decision.reason for decision in answers.decisions}
    comments = {name: reasons[f"{key}.{name}"] for name in _COMMENTED if name in keys and f"{key}.{name}" in reasons}
    return TomlTable("[[gauges]]", keys, comments)


def _station(gauge: GaugeDraft, gauges: Sequence[GaugeDraft]) -> str:
    """Name of the column, with that of the file where another gauge of the variable has it too."""
    name = _one_word(gauge.series.name)
    same = [one for one in gauges if one.variable == gauge.variable and _one_word(one.series.name) == name]
    return name if len(same) == 1 else f"{gauge.series.table.stem}_{name}"


def _one_word(text: str) -> str:
    return re.sub(r"\s+", "_", text.strip()) or "value"


def _file_keys(gauge: GaugeDraft, folder: Path) -> dict[str, object]:
    """The table `file` of a gauge: the keys that are not the default."""
    series, table = gauge.series, gauge.series.table
    columns = table.dates.columns
    paths = [relative_path(path, folder) for path in (table.path, *table.later_paths)]
    keys: dict[str, object | None] = {
        "path": paths if table.later_paths else paths[0],
        "date": columns[0] if len(columns) == 1 else list(columns),
        "value": series.column,
        **table.form.keys(),
        "date_format": None if table.dates.form == "%Y-%m-%d" else table.dates.form,
        "locale": None if table.dates.locale == "en" else table.dates.locale,
        "calendar": None if table.dates.calendar == "gregorian" else table.dates.calendar,
        "decimal_comma": gauge.marks.decimal_comma or None,
        "thousands": gauge.marks.thousands,
        "unit_suffix": series.numbers.unit_suffix,
        "brackets": gauge.marks.brackets,
        "remarks": None if gauge.marks.missing_remarks else list(gauge.marks.remarks) or None,
        "missing_remarks": list(gauge.marks.missing_remarks) or None,
        "no_value": list(series.numbers.no_value) or None,
        "quality": gauge.quality,
        "quality_codes": gauge.quality_codes,
        "missing_codes": list(gauge.missing_codes) or None,
        "where": (table.line_texts | series.line_texts) or None,
    }
    return {key: value for key, value in keys.items() if value is not None}


def relative_path(path: str, folder: Path) -> str:
    """Path of a file relative to the dam file's folder, with slashes."""
    return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
