"""Which stored series belongs to a gauge: the one with its reading rules, or one that it takes over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os.path import exists
from typing import TYPE_CHECKING, Any

import polars as pl

from forebay.archive.views import SERIES
from forebay.tables import READINGS
from forebay.text import public_url

if TYPE_CHECKING:
    from forebay.dams.gauge import Gauge

NO_RULES = ""
"""`rules` of a series from before schema version 2, which kept no reading rules."""
_NAMES = tuple(name for name in SERIES if name != "rules")


def series_of(stored: pl.DataFrame, gauges: Sequence[Gauge], *, moved: bool = False) -> pl.DataFrame:
    """Label (columns of `SERIES`) of each gauge with a stored series, and the `id` of that series, by id.

    It is the series with the gauge's reading rules or, as long as there is none, the one without rules.

    Parameters
    ----------
    moved
        Whether a gauge without any has the series of its file at a later path, or of a URL with secrets: the dam file
        of a forecast record names the former path, and no secret.
    """
    if moved:
        stored = _with_former_places(stored, gauges)
    labels = pl.DataFrame([gauge.series for gauge in gauges], schema={name: READINGS.columns[name] for name in SERIES})
    labels = labels.unique(maintain_order=True)
    exact = labels.join(stored, on=SERIES, how="inner")
    old = stored.filter(pl.col("rules") == NO_RULES).drop("rules")
    inherited = labels.join(exact, on=SERIES, how="anti").join(old, on=_NAMES, how="inner")
    return pl.concat([exact.select("id", *SERIES), inherited.select("id", *SERIES)]).sort("id")


def series_ids(stored: pl.DataFrame, dams: Mapping[str, Sequence[Gauge]]) -> dict[str, list[int]]:
    """Dam → `id` of the stored series of each of its gauges, by the rules of `series_of`, for many dams at once."""
    ids = {tuple(label): number for number, *label in stored.select("id", *SERIES).iter_rows()}
    of_dams: dict[str, list[int]] = {}
    for dam, gauges in dams.items():
        labels = [gauge.series for gauge in gauges]
        exact = [ids.get(tuple(label[name] for name in SERIES)) for label in labels]
        old = [ids.get(tuple((label | {"rules": NO_RULES})[name] for name in SERIES)) for label in labels]
        both = [first if first is not None else second for first, second in zip(exact, old, strict=True)]
        of_dams[dam] = [number for number in dict.fromkeys(both) if number is not None]
    return of_dams


def adoption(stored: pl.DataFrame, gauge: Gauge) -> int | None:
    """Id of the stored series that becomes the gauge's: one without rules, or of its file at a former path.

    A file was moved if nothing is at the former path, and all other rules are equal. None if the gauge has a series of
    its own, or if there is none to adopt.
    """
    label = gauge.series
    candidates = stored.filter(pl.col(name) == label[name] for name in _NAMES)
    if label["rules"] in candidates["rules"]:
        return None
    without_rules = candidates.filter(pl.col("rules") == NO_RULES)
    if without_rules.height:
        return int(without_rules["id"][0])
    if gauge.file is None:
        return None
    rules, _ = _without_path(gauge.reading_rules)
    for series, text in candidates.select("id", "reading_rules").drop_nulls().sort("id", descending=True).iter_rows():
        old_rules, paths = _without_path(text)
        if old_rules == rules and not any(map(exists, paths)):
            return int(series)
    return None


def _with_former_places(stored: pl.DataFrame, gauges: Sequence[Gauge]) -> pl.DataFrame:
    """`stored` with the label of each gauge on the one series whose rules differ in path or secrets only."""
    for gauge in gauges:
        label = gauge.series
        candidates = stored.filter(pl.col(name) == label[name] for name in _NAMES)
        if label["rules"] in candidates["rules"]:
            continue
        rules = _without_secrets(_without_path(gauge.reading_rules)[0])
        texts = candidates.select("id", "reading_rules").drop_nulls().iter_rows()
        same = [series for series, text in texts if _without_secrets(_without_path(text)[0]) == rules]
        if len(same) == 1:
            new = pl.when(pl.col("id") == same[0]).then(pl.lit(label["rules"])).otherwise("rules")
            stored = stored.with_columns(new.alias("rules"))
    return stored


def _without_secrets(rules: dict[str, Any]) -> dict[str, Any]:  # Any: JSON values
    """Reading rules with the public form of the URL."""
    request = rules.get("request", {})
    return rules | {"request": request | ({"url": public_url(request["url"])} if "url" in request else {})}


def _without_path(reading_rules: str) -> tuple[dict[str, Any], list[str]]:  # Any: JSON values
    """Reading rules of a file without its path, and its path (or paths)."""
    rules = json.loads(reading_rules)
    paths = rules.get("file", {}).pop("path", [])
    return rules, [paths] if isinstance(paths, str) else list(paths)
