"""The curve job: the storage curves of a dam, their agreement with paired levels and storages, and a fitted curve."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.charts import drawing
from forebay.charts.formats import format_value
from forebay.charts.storage_curve import storage_curve_figure
from forebay.dams.curves import StorageCurve
from forebay.errors import ConfigError, DataError
from forebay.files import write_all
from forebay.jobs.arguments import as_dam, current_settings
from forebay.jobs.observations import daily as daily_job
from forebay.jobs.results import Result
from forebay.log import log_fields
from forebay.screen.curve_fit import CurveFit, fit_curve
from forebay.screen.storage_pairs import (
    RESIDUALS,
    Break,
    CurveUnits,
    compare_with_curves,
    errors_by_band,
    errors_by_segment,
    find_breaks,
    is_constant,
    pair_gauges,
    storage_pairs,
    tolerance_of,
    units_of,
    with_residuals,
)

if TYPE_CHECKING:
    from forebay.archive.store import Archive
    from forebay.dams.dam import Dam
    from forebay.settings import Settings
    from forebay.verify.hindcast import Progress


@dataclass(frozen=True, repr=False)
class CurveResult(Result):
    """The storage curve of a dam: that of its file, or one fitted to pairs.

    Attributes
    ----------
    dam, units
        The dam, and the units of level and storage of all values.
    residuals
        `storage_pairs.RESIDUALS`: pairs against the curves of the dam file, or against the fitted curve without one.
    breaks
        Days from which on the same levels have other storages.
    fit
        The fitted curve; None if none was asked for.
    note
        Why there are no pairs; empty with pairs.
    span
        First and last day of the pairs that were asked for.
    """

    dam: Dam
    units: CurveUnits
    residuals: pl.DataFrame
    breaks: tuple[Break, ...]
    fit: CurveFit | None
    note: str = ""
    span: tuple[date | None, date | None] = (None, None)

    @property
    def curve(self) -> StorageCurve:
        """The fitted curve, or the newest of the dam file."""
        if self.fit is None:
            return max(self.dam.storage_curves, key=lambda curve: curve.valid_from or date.min)
        return StorageCurve(level_unit=self.units.level, storage_unit=self.units.storage, points=self.fit.points)

    @property
    def bands(self) -> pl.DataFrame:
        """`storage_pairs.errors_by_band` of the pairs."""
        return errors_by_band(self.residuals)

    @property
    def segments(self) -> pl.DataFrame:
        """`storage_pairs.errors_by_segment` of the pairs."""
        return errors_by_segment(self.residuals, self.breaks)

    def to_frame(self) -> pl.DataFrame:
        """The points of the curve: a column of levels and one of storages, with their units in the names."""
        names = (f"level_{self.units.level}", f"storage_{self.units.storage}")
        return pl.DataFrame(self.curve.points, schema=dict.fromkeys(names, pl.Float64), orient="row")

    def title(self) -> str:
        """Dam, number of points and origin of the curve."""
        origin = "fitted storage curve" if self.fit is not None else "storage curve"
        return f"{self.dam.title}, {origin} with {len(self.curve.points)} points"

    @property
    def sentences(self) -> list[str]:
        """Agreement of the pairs with the curve in words: since when they differ, by how much, and what it may mean."""
        if self.note:
            return [self.note]
        curve = "storage curve" if self.dam.storage_curves else "fitted curve"
        sentences = [
            f"{row['from']} to {row['to']}: {row['n']:,} pairs {'differ from' if row['differs'] else 'agree with'} the "
            f"{curve}: median {self._quantity(row['median'])}, 95% error {self._quantity(row['error_95'])}"
            f"{self._percent(row['error_95'])}."
            for row in self.segments.iter_rows(named=True)
        ]
        sentences += [
            f"From {b.day} on, the same levels have other storages: at {b.level:,.6g} {self.units.level} "
            f"{self._quantity(b.after)} instead of {self._quantity(b.before)}. A new survey is a further storage curve "
            "with its valid_from."
            for b in self.breaks
        ]
        beyond = self.residuals["residual"].null_count()
        if beyond:
            sentences.append(f"{beyond:,} pairs are beyond the curve and not compared.")
        if is_constant(self.residuals):
            sentences.append(
                "The difference is the same at all levels: the gauge may count storage from another level than the "
                "curve, such as without the dead storage."
            )
        return sentences

    def _quantity(self, value: float) -> str:
        return f"{format_value(value)} {self.units.storage}"

    def _percent(self, error: float) -> str:
        largest = self.residuals["storage"].abs().max()
        return f" ({100 * error / largest:.2f}% of the largest storage)" if largest else ""  # type: ignore[operator]


def curve(
    dam: Dam | str | Path,
    *,
    archive: Archive | str | None = None,
    settings: Settings | None = None,
    fit: bool = False,
    span: tuple[date | None, date | None] = (None, None),
) -> CurveResult:
    """Storage curves of a dam against the pairs of level and storage in its archive; fetches nothing.

    Parameters
    ----------
    dam, archive, settings
        As in `forecast`.
    fit
        Fit a curve to the pairs, also where the dam file has one.
    span
        First and last day of the pairs; None: all.

    Raises
    ------
    DataError
        If a curve is to be fitted and the pairs are missing, too few, or contradict each other.
    """
    settings = settings or current_settings()
    dam = as_dam(dam, settings)
    with log_fields({"dam": dam.id}):
        is_fit = fit or not dam.storage_curves
        if is_fit:
            _refuse_without_pairs(dam)
        pairs, note = _pairs(dam, archive, settings, span=span, required=is_fit)
    units = units_of(dam)
    fitted = fit_curve(pairs, units) if is_fit else None
    if dam.storage_curves:
        residuals = compare_with_curves(pairs, dam)
    else:
        assert fitted is not None
        residuals = _against(pairs, fitted)
    breaks = tuple(find_breaks(residuals, tolerance_of(pairs)))
    return CurveResult(dam, units, residuals, breaks, fitted, note, span)


def _refuse_without_pairs(dam: Dam) -> None:
    """Raise `DataError` for a dam whose file cannot give pairs."""
    if dam.target.variable == "storage_percent":
        raise DataError(
            f"{dam.name}: the target is storage_percent, so there are no pairs of level and storage; "
            "a curve can be fitted where the target is reservoir_level or storage"
        )
    if pair_gauges(dam) is None:
        advice = {
            "reservoir_level": 'storage to pair with its level; add one with role and variable "storage"',
            "storage": 'the level to pair with its storage; add one with role "level", variable "reservoir_level"',
        }[dam.target.variable]
        raise DataError(f"{dam.name} has no gauge of {advice}, or give a storage curve")


def _pairs(
    dam: Dam,
    archive: Archive | str | None,
    settings: Settings,
    *,
    span: tuple[date | None, date | None],
    required: bool,
) -> tuple[pl.DataFrame, str]:
    """Pairs of the archive, and why there are none; raises instead if they are required."""
    empty = RESIDUALS.empty().select("date", "level", "storage")
    if pair_gauges(dam) is None:
        return empty, "There are no pairs to compare: the dam file has no gauges of both level and storage."
    try:
        daily = daily_job(dam, archive=archive, settings=settings).to_frame()
    except (ConfigError, DataError) as error:
        if required:
            raise
        return empty, f"There are no pairs to compare: {error}."
    pairs = storage_pairs(daily, dam, since=span[0], until=span[1])
    return pairs, "There are no pairs to compare: level and storage have no day in common." if pairs.is_empty() else ""


def _against(pairs: pl.DataFrame, fitted: CurveFit) -> pl.DataFrame:
    """`RESIDUALS` of `pairs` against a fitted curve."""
    levels, storages = np.array(fitted.points).T
    of_curve = np.interp(pairs["level"].to_numpy(), levels, storages, left=np.nan, right=np.nan)
    return with_residuals(pairs.with_columns(curve_storage=pl.Series(of_curve, nan_to_null=True)))


def curve_toml(result: CurveResult, path: Path, folder: Path) -> str:
    """Lines of a dam file in `folder` for the fitted curve in the CSV file `path`; empty without a fit."""
    fit, units = result.fit, result.units
    if fit is None:
        return ""
    level, storage = result.to_frame().columns
    first, last = result.residuals.select(pl.col("date").min(), pl.col("date").max().alias("last")).row(0)
    source = (
        f"fitted by forebay to {fit.in_sample.n} pairs of level and storage from {first} to {last}, no survey; "
        f"95% error {fit.unseen.error_95:.6g} {units.storage} on days that the fit has not seen"
    )
    relative = Path(os.path.relpath(path, folder)).as_posix()
    lines = ["[[storage_curves]]"]
    if result.span[0] is not None:
        lines.append(f"valid_from = {result.span[0]}")
    values = {"level_unit": units.level, "storage_unit": units.storage, "source": source}
    lines += [f"{key} = {_toml_text(value)}" for key, value in values.items()]
    columns = f"level = {_toml_text(level)}, storage = {_toml_text(storage)}"
    return "\n".join([*lines, f"file = {{ path = {_toml_text(relative)}, {columns} }}"])


def _toml_text(text: str) -> str:
    """A text as a basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def write_curve(result: CurveResult, path: Path, progress: Progress | None = None) -> list[Path]:
    """Paths of the files: the points as CSV in `path`, beside it STEM_pairs.csv with pairs, STEM.png and STEM.svg.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    names = {
        f"dam file, {curve.survey}" + (f", from {curve.valid_from}" if curve.valid_from else ""): curve.points
        for curve in result.dam.storage_curves
        if (curve.level_unit, curve.storage_unit) == (result.units.level, result.units.storage)
    }
    if result.fit is not None:
        names["fitted curve"] = result.fit.points
    figure = storage_curve_figure(
        result.dam,
        names,
        result.residuals,
        units=result.units,
        breaks=[b.day for b in result.breaks],
        left_out=[] if result.fit is None else result.fit.left_out["date"].to_list(),
    )
    pictures = drawing.start_drawing([(path.stem, figure.file_spec())])
    with write_all(path.parent) as files:
        _write_csv(result.to_frame(), files.stage / path.name)
        if not result.residuals.is_empty():
            _write_csv(result.residuals, files.stage / f"{path.stem}_pairs.csv")
        drawing.write_pictures(pictures, files.stage, progress)
    return files.paths


def _write_csv(table: pl.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    table.write_csv(buffer)
    path.write_bytes(buffer.getvalue())
