"""The trees of the global model with and without the neighbours of the judged dam, each alone, on short records.

Run: ``python benchmarks/global_neighbours.py [DAM FILE …]`` (needs the extra ``nets``, as ``global_net.py``, whose
records and scores it has); all of `tests/dams` by default. A neighbour is another dam within `NEAR_KM`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from dam_records import DAM_FILES
from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.models.global_trees import MIN_ROWS, grow, input_names
from global_model import RECORDS, rows_of_dams
from global_net import Case, cases, scores, tree_forecasts

NEAR_KM = 400.0
EARTH_KM = 6371.0


def neighbours(dam: Dam, dams: list[Dam]) -> list[str]:
    """Ids of the other dams within `NEAR_KM`, by the haversine formula."""
    near = []
    for other_dam in dams:
        if other_dam.id == dam.id:
            continue
        places = [np.radians([place.latitude, place.longitude]) for place in (dam, other_dam)]
        half = np.sin((places[1] - places[0]) / 2) ** 2
        share = half[0] + np.cos(places[0][0]) * np.cos(places[1][0]) * half[1]
        if 2 * EARTH_KM * np.arcsin(np.sqrt(share)) < NEAR_KM:
            near.append(other_dam.id)
    return near


def main() -> None:
    """Print the scores of each dam that has a neighbour."""
    paths = [Path(name) for name in sys.argv[1:]] or DAM_FILES
    dams = [load_dam(str(path)) for path in DAM_FILES]
    rows = rows_of_dams(DAM_FILES)
    print("| dam | neighbours | records | with them | without them |\n| --- | --- | --- | --- | --- |")
    for path in paths:
        near = neighbours(load_dam(str(path)), dams)
        both = [_scores(case, near) for case in cases(path, rows, RECORDS) if near]
        both = [pair for pair in both if pair is not None]
        if both:
            with_them, without = np.mean(both, axis=0)
            print(f"| {path.stem} | {len(near)} | {len(both)} | {with_them:.1f} | {without:.1f} |", flush=True)


def _scores(case: Case, near: list[str]) -> tuple[float, float] | None:
    """MAE of the trees in percent of the persistence, with and without the neighbours; None with too few rows."""
    few = case.past.filter(~pl.col("dam").is_in(near))
    if len(few) < MIN_ROWS:
        return None
    names = input_names(case.past)
    all_trees, few_trees = (
        scores(case, tree_forecasts(case, grow(rows, names)), ("trees",))["trees"] for rows in (case.past, few)
    )
    return all_trees, few_trees


if __name__ == "__main__":
    main()
