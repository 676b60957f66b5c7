"""The command `forebay curve`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, DamName, dam_named, print_result, settings_in_force
from forebay.files import check_writable

if TYPE_CHECKING:
    from forebay.dams.curves import StorageCurve
    from forebay.dams.dam import Dam
    from forebay.jobs.curve import CurveResult


@Parameter(name="*")
@dataclass(frozen=True)
class CurveOptions:
    """The pairs, what to do with them, and values to convert by the curve."""

    fit: Annotated[
        bool, Parameter(negative="", help="Fit a curve to the pairs, also where the dam file has a curve.")
    ] = False
    since: Annotated[date | None, Parameter(help="First day of the pairs; by default all.")] = None
    until: Annotated[date | None, Parameter(help="Last day of the pairs; by default all.")] = None
    level: Annotated[float | None, Parameter(help="Print the storage at this level, in the curve's unit.")] = None
    storage: Annotated[float | None, Parameter(help="Print the level at this storage, in the curve's unit.")] = None


NO_OPTIONS = CurveOptions()


def curve(
    dam_name: DamName,
    /,
    *,
    options: CurveOptions = NO_OPTIONS,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="CSV file of the curve; by default runs/ID/storage_curve.csv."),
    ] = None,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the storage curves of a dam with their errors against observed pairs, or fit a curve to the pairs.

    Example: forebay curve demo
    """
    from forebay.cli import terminal
    from forebay.errors import ConfigError
    from forebay.jobs import curve as job

    settings, _ = settings_in_force()
    dam = dam_named(dam_name, settings)
    path = output or Path(settings.output) / dam.id / "storage_curve.csv"
    if path.suffix.lower() != ".csv":
        raise ConfigError(f"{path}: suffix {path.suffix!r} is unknown; allowed is .csv")
    check_writable(path.parent)
    url, span = archive or settings.archive, (options.since, options.until)
    result = job.curve(dam, archive=url, settings=settings, fit=options.fit, span=span)
    conversions = converted(result.curve, options)
    with terminal.progress() as progress:
        files = job.write_curve(result, path, progress)
    toml = job.curve_toml(result, path, Path(dam_name).parent if Path(dam_name).is_file() else Path())
    content = _json_content(result, toml, files) | {"conversions": conversions}
    print_result(content, as_json, lambda: _print_curve(result, conversions, toml, files))


def converted(curve: StorageCurve, options: CurveOptions) -> list[dict[str, float]]:
    """Level and storage of each value of `options`, in the curve's units.

    Raises
    ------
    DataError
        If a value is beyond the curve.
    """
    pairs = []
    if options.level is not None:
        pairs.append({"level": options.level, "storage": curve.storage_at(options.level)})
    if options.storage is not None:
        pairs.append({"level": curve.level_at(options.storage), "storage": options.storage})
    return pairs


def _json_content(result: CurveResult, toml: str, files: list[Path]) -> dict[str, object]:
    fit = result.fit
    return {
        "dam": result.dam.id,
        "simulated": result.dam.simulated,
        "level_unit": result.units.level,
        "storage_unit": result.units.storage,
        "curves": curve_rows(result.dam),
        "pairs": len(result.residuals),
        "bands": result.bands.to_dicts(),
        "segments": result.segments.to_dicts(),
        "breaks": [asdict(change) for change in result.breaks],
        "sentences": result.sentences,
        "fit": None
        if fit is None
        else {
            "points": fit.points,
            "in_sample": asdict(fit.in_sample),
            "unseen": asdict(fit.unseen),
            "beyond": fit.beyond,
            "left_out": fit.left_out.to_dicts(),
            "toml": toml,
        },
        "files": [str(path) for path in files],
    }


def curve_rows(dam: Dam) -> list[dict[str, object]]:
    """A row per storage curve of the dam file: survey, first day, range with units, points and source."""
    return [_curve_row(curve) for curve in dam.storage_curves]


def _curve_row(curve: StorageCurve) -> dict[str, object]:
    (lowest, least), (highest, most) = curve.points[0], curve.points[-1]
    return {
        "survey": curve.survey,
        "valid from": curve.valid_from,
        "levels": f"{lowest:,.12g} to {highest:,.12g} {curve.level_unit}",
        "storages": f"{least:,.12g} to {most:,.12g} {curve.storage_unit}",
        "points": len(curve.points),
        "source": curve.source or None,
    }


def _print_curve(result: CurveResult, conversions: list[dict[str, float]], toml: str, files: list[Path]) -> None:
    from forebay.cli import terminal

    if rows := curve_rows(result.dam):
        terminal.table(f"{result.dam.title}: storage curves", rows)
    units = result.units
    bands = [
        {
            f"levels, {units.level}": f"{row['low']:,.6g} to {row['high']:,.6g}",
            "pairs": row["n"],
            f"median, {units.storage}": row["median"],
            f"95% error, {units.storage}": row["error_95"],
        }
        for row in result.bands.iter_rows(named=True)
    ]
    if bands:
        terminal.table(f"{result.dam.title}: storage of pairs minus that of the curve, last row: all levels", bands)
    for sentence in result.sentences:
        terminal.line(f"  · {sentence}")
    if result.fit is not None:
        _print_fit(result, toml)
    for pair in conversions:
        sides = f"level {pair['level']:,.9g} {units.level}, storage {pair['storage']:,.9g} {units.storage}"
        terminal.line(f"By the {'fitted' if result.fit is not None else 'newest'} curve: {sides}")
    for path in files:
        terminal.line(f"File: {path}")


def _print_fit(result: CurveResult, toml: str) -> None:
    from forebay.cli import terminal

    fit, unit = result.fit, result.units.storage
    assert fit is not None
    errors = {"pairs of the fit": fit.in_sample, "days that another fit has not seen": fit.unseen}
    rows = [
        {"error of the fitted curve": name, "pairs": e.n, f"median, {unit}": e.median, f"95%, {unit}": e.error_95}
        for name, e in errors.items()
    ]
    terminal.table(f"{result.dam.title}: fitted curve with {len(fit.points)} points", rows)
    if len(fit.left_out):
        days = ", ".join(str(day) for day in fit.left_out["date"].head(5))
        rest = f" and {len(fit.left_out) - 5} more days" if len(fit.left_out) > 5 else ""
        terminal.line(f"  · left out, as their storage is not that of the others at their level: {days}{rest}")
    terminal.line("For the dam file:")
    print(toml)
