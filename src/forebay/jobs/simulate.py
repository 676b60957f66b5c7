"""The job of `forebay simulate`: a fleet of simulated dams as dam files and CSV files, with their truth."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from forebay.errors import ConfigError
from forebay.files import check_writable, write_all
from forebay.jobs.stored_tables import write_parquet
from forebay.log import add_counts, step
from forebay.sources.simulated import LEVEL_STATION, QUALITY_CODES, LevelFault, Truth, simulate, station_variables
from forebay.sources.simulated_fleet import FleetDam, fleet_dam

if TYPE_CHECKING:
    from forebay.verify.hindcast import Progress

MAX_DAMS = 99_999
LAST_DAY = date(2021, 12, 31)
MAX_YEARS = 100


@dataclass(frozen=True)
class Fleet:
    """Which dams are simulated, and of which days.

    Attributes
    ----------
    dams
        Number of dams.
    seed
        Of the whole fleet.
    years
        Number of calendar years of the record, the year of `last_day` included.
    last_day
        Last day of the record.
    """

    dams: int
    seed: int = 1
    years: int = 12
    last_day: date = LAST_DAY

    def __post_init__(self) -> None:
        limits = {"dams": (1, MAX_DAMS), "seed": (0, 2**63 - 1), "years": (1, MAX_YEARS)}
        for name, (low, high) in limits.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise ConfigError(f"--{name} {value} is not possible; give a number from {low} to {high}")
        if self.last_day.year - self.years < 1900:
            raise ConfigError(f"--until {self.last_day} with --years {self.years} begins before 1901; give fewer years")

    @property
    def first_day(self) -> date:
        """First day of the record."""
        return date(self.last_day.year - self.years + 1, 1, 1)


@step("simulate")
def write_fleet(fleet: Fleet, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Paths of the dam files in `folder`; each has a CSV file beside it, and its truth is in the folder `truth`.

    The files of a dam do not depend on the number of dams: the same seed, years and last day give the same bytes.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    check_writable(folder)
    paths = []
    for number in range(1, fleet.dams + 1):
        paths.append(_write_dam(fleet_dam(fleet.seed, number), fleet, folder))
        if progress:
            progress("simulate", number, fleet.dams)
    add_counts({"dams": fleet.dams})
    return paths


def _write_dam(dam: FleetDam, fleet: Fleet, folder: Path) -> Path:
    """Path of the dam file of one dam, which is written after its readings and its truth."""
    faults = dam.faults(fleet.first_day.year, fleet.last_day.year)
    truth = simulate(dam.seed, fleet.first_day, fleet.last_day, dam.catchment, faults)
    faulty = truth.gauges.drop_nulls("fault").select("station", "date", "fault", "true_value")
    with write_all(folder / "truth") as files:
        write_parquet(truth.days, files.stage / f"{dam.id}.parquet")
        (files.stage / f"{dam.id}-faults.csv").write_bytes(_csv(faulty))
    with write_all(folder) as files:
        (files.stage / f"{dam.id}.csv").write_bytes(_csv(readings_table(truth)))
        text = "\n".join(_dam_lines(dam, fleet, faults.level)) + "\n"
        (files.stage / f"{dam.id}.toml").write_text(text, "utf-8")
    return folder / f"{dam.id}.toml"


def _csv(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_csv(buffer)
    return buffer.getvalue()


def readings_table(truth: Truth) -> pl.DataFrame:
    """The readings as published: `date`, then of each station its value and its quality code; empty in an outage."""
    table = truth.days.select("date")
    for station in truth.gauges["station"].unique(maintain_order=True):
        rows = truth.gauges.filter(pl.col("station") == station)
        columns = rows.select(
            "date", pl.col("raw_value").alias(station), pl.col("quality_code").alias(f"{station} code")
        )
        table = table.join(columns, on="date", how="left", maintain_order="left")
    return table


def _dam_lines(dam: FleetDam, fleet: Fleet, level_faults: tuple[LevelFault, ...]) -> Iterator[str]:
    """Lines of the dam file."""
    lake = dam.catchment.lake
    notes = (
        f"Simulated weather, rivers and lake (docs/simulation.md): {dam.zone} climate, {dam.rule}, catchment of "
        f"{dam.catchment.area_km2:,.0f} km². The coordinates only place it in that climate; there is no such dam."
    )
    yield f"# Written by `forebay simulate`: seed {fleet.seed}, dam {dam.number}. There is no such dam."
    head = {
        "id": dam.id,
        "name": dam.name,
        "country": "Simulated",
        "latitude": dam.latitude,
        "longitude": dam.longitude,
        "time_zone": dam.time_zone,
        "simulated": True,
        "licence": "Simulated by forebay; no observation of any real place",
        "notes": notes,
        "full_supply": lake.full_supply_m,
    }
    yield from _pairs(head)
    yield "\n[target]"
    yield from _pairs({"variable": "reservoir_level", "unit": "m", "datum": "metres above the simulation's own datum"})
    yield "\n[[storage_curves]]"
    yield from _pairs({"level_unit": "m", "storage_unit": "ML", "source": "the simulation's own curve"})
    points = zip(lake.curve_m, lake.curve_ml, strict=True)
    yield f"points = [{', '.join(f'[{level:.10g}, {storage:.12g}]' for level, storage in points)}]"
    yield "\n[hindcast]"
    yield f"near_full_margin = {max(0.1, round(0.01 * (lake.full_supply_m - lake.bed_m), 2))}"
    yield "verification_exclude = ["
    for fault in level_faults:
        if fault.first <= fleet.last_day:
            yield f'    {{ from = {fault.first}, to = {fault.last}, reason = "simulated fault: {fault.kind} level" }},'
    yield "]"
    for station, variable in station_variables(dam.catchment).items():
        yield from _gauge_lines(dam, station, variable)


def _gauge_lines(dam: FleetDam, station: str, variable: str) -> Iterator[str]:
    """Lines of one gauge, which reads its column of the dam's CSV file."""
    role = {"reservoir_level": "target", "rainfall": "rainfall"}.get(variable, "stream")
    title = "lake level" if station == LEVEL_STATION else station.removeprefix("SIM-").lower().replace("-", " ")
    own = station.replace("SIM", dam.id.upper(), 1)  # an archive finds series by their stations
    unit = "mm" if variable == "rainfall" else "m"
    yield "\n[[gauges]]"
    yield from _pairs({"role": role, "source": "csv", "station": own, "name": f"{title} of {dam.name}"})
    yield from _pairs({"variable": variable, "unit": unit})
    columns = {"path": f"{dam.id}.csv", "date": "date", "value": station}
    yield "[gauges.file]"
    yield from _pairs(columns | {"quality": f"{station} code", "quality_codes": QUALITY_CODES})


def _pairs(values: Mapping[str, object]) -> Iterator[str]:
    """Keys and values in the form of TOML, whose texts are those of JSON."""
    for key, value in values.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
