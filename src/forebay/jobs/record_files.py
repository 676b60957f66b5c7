"""Files of forecast records: the records themselves, hubverse model output, CF NetCDF; and their comparison.

=======================================================  =============================================================
`records.jsonl`                                          the text of every record, a line each, in order of the chain
`model-output/forebay-default/DATE-forebay-default.csv`  hubverse model output of the last forecast of each init date
`forecasts.nc`                                           the same forecasts by the CF conventions
=======================================================  =============================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forebay.dams.dam_content import dam_of_content
from forebay.errors import ConfigError, DataError, ForebayError
from forebay.files import write_all
from forebay.forecasts.record import Content, chain_faults, forecast_table, record_id, row_of
from forebay.jobs.datasets import forecast_dataset, write_netcdf
from forebay.jobs.record import content_of, find_record, issued_contents
from forebay.jobs.results import require_extra
from forebay.log import step
from forebay.tables import DEFAULT_MODEL

if TYPE_CHECKING:
    import xarray

    from forebay.archive.store import Archive

HUB_MODEL = "forebay-default"
"""Hubverse's `model_id`: the team's name and the model's."""
HUB_COLUMNS = (
    "origin_date", "target", "horizon", "target_end_date", "location", "output_type", "output_type_id", "value",
)  # fmt: skip
PROBABILITY_COLUMNS = {"threshold", "direction", "kind", "lead_time", "probability"}
RECORDS_FILE, NETCDF_FILE = "records.jsonl", "forecasts.nc"


def hub_table(content: Content) -> pl.DataFrame:
    """A record as hubverse model output: a row per lead time and quantile of `default`, and per probability.

    A probability is a `pmf` with the categories "yes" and "no".
    """
    target = content["dam_file"]["target"]
    name = f"{target['variable']} ({target['unit']})" + (", SIMULATED" if content["dam_file"]["simulated"] else "")
    forecasts = forecast_table(content).filter(pl.col("model") == DEFAULT_MODEL).sort("lead_time", "quantile")
    quantiles = forecasts.select(
        pl.lit(name).alias("target"),
        "lead_time",
        pl.lit("quantile").alias("output_type"),
        pl.col("quantile").cast(pl.String).alias("output_type_id"),
        pl.col("level").alias("value"),
    )
    rows = pl.concat([quantiles, *_probabilities(content, name)])
    origin = date.fromisoformat(content["init_date"])
    return rows.select(
        pl.lit(origin).alias("origin_date"),
        "target",
        pl.col("lead_time").alias("horizon"),
        (pl.lit(origin) + pl.duration(days=pl.col("lead_time"))).alias("target_end_date"),
        pl.lit(content["dam"]).alias("location"),
        "output_type",
        "output_type_id",
        "value",
    )


def _probabilities(content: Content, name: str) -> Iterator[pl.DataFrame]:
    table = pl.DataFrame(content["probabilities"])
    if not set(table.columns) >= PROBABILITY_COLUMNS or table.is_empty():
        return
    event = pl.format("{} {} {}, {} the day", pl.lit(name), "direction", "threshold", "kind")
    for category, value in (("yes", pl.col("probability")), ("no", 1 - pl.col("probability"))):
        yield table.select(
            event.alias("target"),
            pl.col("lead_time").cast(pl.Int32),
            pl.lit("pmf").alias("output_type"),
            pl.lit(category).alias("output_type_id"),
            value.cast(pl.Float64).alias("value"),
        )


@step("record_export")
def write_records(
    store: Archive,
    dam: str,
    folder: Path,
    *,
    days: tuple[date | None, date | None] = (None, None),
    netcdf: bool = False,
    now: datetime,
) -> list[Path]:
    """Paths of the files of a dam's records in `folder`.

    Parameters
    ----------
    days
        First and last init date of the model output and of the dataset; `records.jsonl` always has the whole chain.

    Raises
    ------
    DataError
        If the chain has a fault, or no forecast that is not retrospective lies in these days.
    ConfigError
        If the folder cannot be written, xarray is not installed, or the target changed within these days.
    """
    if faults := chain_faults(store.records.pages(dam), dam):
        raise DataError(f"{faults[0]}; nothing is exported: `forebay record verify {dam}` lists all faults")
    contents = list(issued_contents(store, dam, days))
    if not contents:
        raise DataError(f"{dam} has no issued forecast from {days[0] or 'its start'} to {days[1] or 'its end'}")
    dataset = records_dataset(contents) if netcdf else None
    with write_all(folder / "model-output" / HUB_MODEL) as tables:
        for content, _ in contents:
            hub_table(content).write_csv(tables.stage / f"{content['init_date']}-{HUB_MODEL}.csv")
    with write_all(folder) as files:
        with (files.stage / RECORDS_FILE).open("w", encoding="ascii", newline="\n") as lines:
            for page in store.records.pages(dam):
                lines.writelines(f"{payload}\n" for payload in page["payload"])
        if dataset is not None:
            write_netcdf(dataset, files.stage / NETCDF_FILE, now=now)
    return [*files.paths, *tables.paths]


def records_dataset(contents: Sequence[tuple[Content, str]]) -> xarray.Dataset:
    """Forecasts of records by the CF conventions, with the id and the hash of each init time's record.

    Raises
    ------
    ConfigError
        If their targets have different variables, units or datums, which one dataset cannot have.
    """
    last = contents[-1][0]
    for content, _ in contents:
        old, new = content["dam_file"]["target"], last["dam_file"]["target"]
        if old != new:
            raise ConfigError(
                f"the target of {content['id']} is {_target_text(old)}, that of {last['id']} is {_target_text(new)}; "
                "one NetCDF file cannot have both: select init dates with --since and --until"
            )
    tables = (forecast_table(content).filter(pl.col("model") == DEFAULT_MODEL) for content, _ in contents)
    dataset = forecast_dataset(pl.concat(tables), dam_of_content(last["dam_file"]))
    ids, hashes = [content["id"] for content, _ in contents], [digest for _, digest in contents]
    return dataset.assign_coords(
        record=("init_time", np.array(ids, dtype=object), {"long_name": "id of the forecast record"}),
        record_hash=("init_time", np.array(hashes, dtype=object), {"long_name": "SHA-256 of the forecast record"}),
    )


def _target_text(target: Content) -> str:
    return f"{target['variable']} in {target['unit']} ({target['datum']})"


def file_faults(file: Path, store: Archive, dam: str) -> list[str]:
    """Sentences on the differences between an exported file and the records; empty if there are none.

    Raises
    ------
    ConfigError
        If the file cannot be read, or is none that `write_records` writes.
    """
    checks: dict[str, Callable[[Path, Archive, str], list[str]]] = {
        ".jsonl": _record_line_faults,
        ".csv": _hub_faults,
        ".nc": _dataset_faults,
    }
    check = checks.get(file.suffix)
    if check is None:
        raise ConfigError(f"--file {file}: suffix {file.suffix!r} is unknown; allowed are {', '.join(checks)}")
    try:
        return [f"{file}: {fault}" for fault in check(file, store, dam)]
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        return [f"{file}: it is no text of forebay"]


def _record_line_faults(file: Path, store: Archive, dam: str) -> list[str]:
    stored = dict(store.records.index(dam).select("sequence", "hash").iter_rows())
    rows, faults = [], []
    for number, line in enumerate(file.read_text("utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            row = row_of(line)
        except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError, ForebayError):
            faults.append(f"line {number} is no record")
            continue
        sequence = row["sequence"][0]
        if row["dam"][0] == dam and stored.get(sequence) != row["hash"][0]:
            faults.append(f"line {number}: {record_id(dam, sequence)} differs from that of the archive")
        rows.append(row)
    if not rows:
        faults.append("it has no record")
    return faults + chain_faults(rows, dam)


def _hub_faults(file: Path, store: Archive, dam: str) -> list[str]:
    """Faults of a file of model output: it must be that of one record, which may have been replaced later."""
    text = file.read_text("utf-8")
    try:
        origin = date.fromisoformat(pl.read_csv(text.encode(), infer_schema=False)["origin_date"][0])
    except (ValueError, IndexError, TypeError, pl.exceptions.PolarsError):
        return ["it is no model output of forebay"]
    index = store.records.index(dam).filter(pl.col("init_date") == origin, ~pl.col("retrospective"))
    expected = [
        hub_table(content_of(record)).write_csv()
        for page in store.records.pages(dam, index["sequence"].to_list())
        for record in page.iter_slices(1)
    ]
    if text in expected:
        return []
    if not expected:
        return [f"no forecast of {dam} from {origin} is recorded"]
    lines, recorded = text.splitlines(), expected[-1].splitlines()
    number = next((k for k, pair in enumerate(zip(lines, recorded, strict=False)) if len(set(pair)) > 1), len(recorded))
    return [f"line {number + 1} differs from {record_id(dam, index['sequence'][-1])} and from every record of {origin}"]


def _dataset_faults(file: Path, store: Archive, dam: str) -> list[str]:
    require_extra("xarray", "xarray", "h5netcdf")
    import xarray

    content = file.read_bytes()
    try:
        with xarray.open_dataset(BytesIO(content), engine="h5netcdf") as opened:
            dataset = opened.load()
        ids = [str(text) for text in dataset["record"].to_numpy()]
        records = [find_record(store, text) for text in ids]
    except (KeyError, ValueError, OSError):
        return ["it is no dataset of forebay's records"]
    except DataError as error:
        return [str(error)]
    expected = records_dataset([(content_of(record), record["hash"][0]) for record in records])
    faults = [f"{text} is a record of another dam" for text, record in zip(ids, records, strict=True)
              if record["dam"][0] != dam]  # fmt: skip
    same_axes = dict(dataset.sizes) == dict(expected.sizes)
    for name in (*expected.data_vars, *expected.coords):
        if name not in dataset or not same_axes or not dataset[name].equals(expected[name]):
            faults.append(f"{name} differs from the records")
    return faults
