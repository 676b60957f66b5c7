"""Dam files: the built-in catalogue and the user's own TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import polars as pl
from pydantic import BaseModel, ValidationError

from forebay.dams.csv_layout import PLACEHOLDER, CurveLayout, FileLayout, is_inside, quoted
from forebay.dams.csv_numbers import parse_numbers
from forebay.dams.csv_text import header_line, read_columns, read_content
from forebay.dams.dam import Dam
from forebay.dams.forcing import ForcingFile
from forebay.dams.global_model import named_model
from forebay.errors import ConfigError, SourceError

MAX_BYTES = 1 << 20
_MAX_LETTERS = 500  # of an error message that quotes a value of any length


def catalogue() -> dict[str, str]:
    """Text of every built-in dam file, by dam id."""
    folder = resources.files("forebay.dams") / "catalogue"
    return {
        p.name.removesuffix(".toml"): p.read_text("utf-8")
        for p in sorted(folder.iterdir(), key=lambda p: p.name)
        if p.name.endswith(".toml")
    }


def load_dam(id_or_path: str, *, roots: Sequence[str] | None = None) -> Dam:
    """The dam of the catalogue with this id, or of a TOML file.

    Parameters
    ----------
    roots
        Folders whose files an error may quote (the setting `files.roots`); by default the dam file's folder and the
        current one.

    Raises
    ------
    ConfigError
        If there is no such dam or file, or its content is wrong: names file, key, value and allowed values.

    Examples
    --------
    >>> load_dam("demo").simulated
    True
    """
    built_in = catalogue()
    if id_or_path in built_in:
        return _parse_dam(built_in[id_or_path], f"built-in dam {id_or_path}", Path(), ())
    path = Path(id_or_path)
    try:
        is_file = path.is_file()
    except OSError:  # a name longer than the system allows
        is_file = False
    if not is_file:
        raise ConfigError(
            f"dam {id_or_path!r} is neither in the catalogue ({', '.join(built_in)}) nor a file; "
            "give one of these or the path of a dam file (TOML)"
        )
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{path} has {size} bytes; a dam file may have at most {MAX_BYTES}")
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        raise ConfigError(
            f"{path}, line {line}: byte {error.start} is not UTF-8 text; save the dam file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    allowed = (path.parent, Path.cwd()) if roots is None else map(Path, roots)
    return _parse_dam(text, str(path), path.parent, tuple(str(root.expanduser().resolve()) for root in allowed))


def _parse_dam(text: str, where: str, folder: Path, roots: tuple[str, ...]) -> Dam:
    """The dam of a dam file's text; with `roots`, an error quotes nothing of files outside them."""
    may_quote = not roots or is_inside(where, roots)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a ValueError also for an integer of thousands of digits
        position = re.search(r"\(at [^()]*\)$", str(error))
        reason = str(error) if may_quote else f"{PLACEHOLDER} {position[0] if position else ''}".rstrip()
        raise ConfigError(f"{where} is not valid TOML: {reason}") from None
    lists = ("gauges", "forcings", "weather", "storage_curves", "alerts")
    if not all(isinstance(content.get(key, []), list) for key in lists):
        raise ConfigError(f"{where}: {', '.join(lists[:-1])} and {lists[-1]} must be lists of tables ([[gauges]])")
    try:
        for gauge in content.get("gauges", []):
            if isinstance(gauge, dict) and isinstance(gauge.get("file"), dict):
                _refuse_own_keys("gauges.file", gauge["file"], FileLayout)
                own = {"dam": str(content.get("id", "")), "roots": list(roots)}
                gauge["file"] |= _absolute_path(gauge["file"], folder) | own
        for place, forcing in enumerate(content.get("forcings", []), start=1):
            if not isinstance(forcing, dict) or not isinstance(forcing.get("file"), dict):
                raise ConfigError(f"key forcings[{place}].file is missing; allowed is a table ([forcings.file])")
            _refuse_own_keys("forcings.file", forcing["file"], ForcingFile)
            forcing["file"] |= _absolute_path(forcing["file"], folder) | {"roots": list(roots)}
        curves = content.get("storage_curves", [])
        content["storage_curves"] = [_curve_points(curve, folder, roots) for curve in curves]
        if "global_model" in content:
            content["global_model"] = _named_model(content["global_model"], folder)
        return Dam.model_validate(tuples(content), strict=True)
    except (ValidationError, ConfigError) as error:
        reason = first_error(error) if isinstance(error, ValidationError) else str(error)
        hidden = f"a key or a value is not allowed in a dam file: {PLACEHOLDER}"
        raise ConfigError(f"{where}: {reason if may_quote else hidden}") from None
    except RecursionError:
        raise ConfigError(
            f"{where}: its tables are nested more deeply than those of any dam file; remove the inner tables"
        ) from None


def _named_model(path: object, folder: Path) -> dict[str, object]:
    """The global model at a path from the dam file's folder."""
    if not isinstance(path, str):
        raise ConfigError(f"global_model = {path!r} is no text; give the path of a file of `forebay fleet train`")
    return named_model(folder / path).model_dump()


def _absolute_path(layout: dict[str, object], folder: Path) -> dict[str, object]:
    path = layout.get("path")
    if isinstance(path, list) and all(isinstance(part, str) for part in path):
        return {"path": [str(folder / part) for part in path]}
    return {"path": str(folder / path)} if isinstance(path, str) else {}


def _refuse_own_keys(place: str, layout: dict[str, object], model: type[BaseModel]) -> None:
    """Raise for keys that `load_dam` sets itself."""
    own = next((name for name, field in model.model_fields.items() if field.exclude and name in layout), None)
    if own is not None:
        raise ConfigError(f"key {place}.{own} is unknown; allowed are {', '.join(_keys(model))}")


def tuples(content: object) -> object:
    """TOML's lists as tuples, as a strict model requires (strict: "1" and true are not numbers)."""
    if isinstance(content, dict):
        return {key: tuples(value) for key, value in content.items()}
    return tuple(map(tuples, content)) if isinstance(content, list) else content


def _curve_points(curve: object, folder: Path, roots: tuple[str, ...]) -> object:
    """The storage curve's table, with `points` from its CSV file if it has one (`file = {path, level, storage}`)."""
    if not isinstance(curve, dict) or "file" not in curve:
        return curve
    if isinstance(curve["file"], dict):
        _refuse_own_keys("storage_curves.file", curve["file"], CurveLayout)
    try:
        layout = CurveLayout.model_validate(tuples(curve["file"]), strict=True)
    except ValidationError as error:
        keys = ", ".join(_keys(CurveLayout))
        raise ConfigError(f"storage_curves.file: {first_error(error, CurveLayout)}; its keys are {keys}") from None
    layout = layout.model_copy(update={"path": str(folder / layout.path), "roots": roots})
    rest = {key: value for key, value in curve.items() if key != "file"}
    return rest | {"source": rest.get("source", Path(layout.path).name), "points": _points_in(layout)}


def _points_in(layout: CurveLayout) -> tuple[tuple[float, float], ...]:
    """A storage curve's points (level, storage) from its file, by rising level; incomplete lines are left out."""
    names = [layout.level, layout.storage]
    try:
        content = read_content(layout)
        texts = read_columns(content, names, layout).with_columns(pl.all().replace("", None))
    except (ConfigError, SourceError) as error:
        raise ConfigError(f"storage_curves: {error}") from None
    points = texts.select(parse_numbers(pl.col(name), layout, strict=False).alias(name) for name in names)
    for name, partner in (names, names[::-1]):
        is_bad = points[name].is_finite().not_().fill_null(True) & texts[partner].is_not_null()
        bad_lines = texts.with_row_index("row").filter(is_bad)
        if not bad_lines.is_empty():
            line, text = header_line(content) + 1 + bad_lines["row"][0], bad_lines[name][0]
            raise ConfigError(
                f"storage_curves: {layout.path}, line {line}: {quoted(text, layout)} in column {name!r} is not a "
                "number; correct it, or delete the line"
            )
    lines = points.with_row_index("line", header_line(content) + 1).drop_nulls()
    points = _distinct_points(lines, layout).sort(names[0])
    if layout.is_outside and (points.height < 2 or points[names[1]].diff().lt(0).any()):  # `StorageCurve` quotes points
        raise ConfigError(
            f"storage_curves: {layout.path} must have at least two points, and the storage must not fall where the "
            f"level rises: {PLACEHOLDER}"
        )
    return tuple(points.iter_rows())


def _distinct_points(lines: pl.DataFrame, layout: CurveLayout) -> pl.DataFrame:
    """Level and storage of the lines of a curve's file, without repetitions; raises if a level has two storages."""
    names = [layout.level, layout.storage]
    points = lines.unique(names, keep="first", maintain_order=True)
    second = points.filter(pl.col(layout.level).is_first_distinct().not_())
    if not second.is_empty():
        level = quoted(f"{second[layout.level][0]:g}", layout)
        raise ConfigError(
            f"storage_curves: {layout.path}, line {second['line'][0]}: level {level} has another storage than in a "
            "line above; correct it, or delete one of the two lines"
        )
    return points.select(names)


def first_error(error: ValidationError, root: type[BaseModel] = Dam) -> str:
    """Message for the first error: key, value, allowed values."""
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])  # a misspelt key is also missing
    where = _dotted(first["loc"])
    value = repr(list(first["input"]) if isinstance(first["input"], tuple) else first["input"])
    value = value if len(value) <= 80 else value[:77] + "…"
    if first["type"] == "extra_forbidden":
        parent = _model_at(first["loc"][:-1], root)
        allowed = f"; allowed are {', '.join(_keys(parent))}" if parent else ""
        return f"key {where} is unknown (value {value}){allowed}"
    if first["type"] == "missing":
        return f"key {where} is missing"
    reason = re.sub(r"^(Value|Assertion) error, ", "", first["msg"])
    if first["type"] in ("model_type", "model_attributes_type") and (model := _model_at(first["loc"], root)):
        return f"{where} = {value}: must be a table; its keys are {', '.join(_keys(model))}"
    if first["type"] == "date_type":
        return f"{where} = {value}: must be a day like 2012-01-31, without quotes"
    reason = reason.replace("Tuple", "list").replace("tuple", "list").replace(" after validation", "")
    if first["type"] == "value_error":
        reason = reason if len(reason) <= _MAX_LETTERS else f"{reason[:_MAX_LETTERS]}…"
        return f"{where}: {reason}" if where else reason
    return f"{where} = {value}: {reason[0].lower()}{reason[1:]}"


def _dotted(loc: Sequence[int | str]) -> str:
    """A key in the notation of error messages: gauges[2].unit, counted from 1.

    >>> _dotted(("gauges", 1, "unit"))
    'gauges[2].unit'
    """
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{_key(part)}"
    return text.removeprefix(".")


def _key(text: str) -> str:
    """A key as one short word: bare as in TOML, otherwise quoted."""
    if re.fullmatch(r"[\w-]{1,80}", text):
        return text
    return repr(text) if len(text) <= 80 else f"{text[:79]!r}…"


def _model_at(loc: Sequence[int | str], root: type[BaseModel]) -> type[BaseModel] | None:
    """The pydantic model of the table at `loc`."""
    model: type[BaseModel] | None = root
    for part in loc:
        if isinstance(part, str) and model is not None:
            fields = {(f.alias or name): f for name, f in model.model_fields.items()}
            model = _model_in(fields[part].annotation) if part in fields else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:  # Any: an annotation can be any object
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, UnionType):
        return next((m for m in map(_model_in, get_args(annotation)) if m), None)
    return None


def _keys(model: type[BaseModel]) -> list[str]:
    """Keys of this table in a dam file."""
    return [f.alias or name for name, f in model.model_fields.items() if not f.exclude]
