"""`forebay.charts.record` and `forebay.charts.drivers`: what the pictures of `forebay new` show."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest

from forebay.charts.drivers import drivers_chart
from forebay.charts.record import gaps, record_chart
from forebay.charts.screening import REASON_COLOURS, gauge_chart
from forebay.charts.spec import Spec
from forebay.dams.dam import Dam
from forebay.screen.flags import FLAGS
from tests import synthetic

STREAM = {"role": "stream", "station": "s", "variable": "discharge", "unit": "ft3/s", "name": "A river"}


def rows_of(spec: Spec, layer: Spec) -> list[dict[str, object]]:
    """Rows of a layer, whose data are CSV text in the specification; "" is null."""
    text = spec["datasets"][layer["data"]["name"]]
    return pl.read_csv(io.StringIO(text)).to_dicts()


def marks_of(spec: Spec, panel: int, mark: str) -> list[dict[str, object]]:
    """Rows of the layers of one panel with this mark."""
    layers = [part for part in spec["concat"][panel]["layer"] if part["mark"]["type"] == mark]
    return [row for layer in layers for row in rows_of(spec, layer)]


def level_frame(dam: Dam, levels: list[float | None]) -> pl.DataFrame:
    return synthetic.daily_frame(dam, {"reservoir_level": levels})


def test_gaps_are_all_spells_of_eight_missing_days_or_more() -> None:
    """Against a search day by day; the record begins and ends with a gap in some of the cases."""
    dam = synthetic.small_dam()
    rng = np.random.default_rng(4)
    for _ in range(40):
        runs = rng.integers(1, 14, 12)
        first = rng.random() < 0.5
        has_value = np.concatenate([np.full(size, bool(k % 2) == first) for k, size in enumerate(runs)])
        daily = level_frame(dam, [1.0 if known else None for known in has_value])
        days = daily["date"].to_list()
        edges = np.concatenate([[0], np.cumsum(runs)])
        expected = [
            (days[start], days[stop - 1])
            for start, stop in zip(edges[:-1], edges[1:], strict=True)
            if not has_value[start] and stop - start >= 8
        ]
        assert gaps(daily, "reservoir_level").rows() == expected


def test_a_panel_per_gauge_shows_values_gaps_and_flags_in_force() -> None:
    dam = synthetic.small_dam(STREAM, unit="ft")
    levels: list[float | None] = [300.0 + k for k in range(6)] + [None] * 9 + [307.0, -999.0, 308.0]
    daily = synthetic.daily_frame(dam, {"reservoir_level": levels, "discharge_s": [0.28316846592] * 18})
    days = daily["date"].to_list()
    rows = [
        ("reservoir_level", days[2], "spike", days[3], None, 302.0, 301.0),
        ("reservoir_level", days[4], "jump", days[4], days[5], 304.0, 303.0),  # withdrawn
        ("reservoir_level", days[16], "sentinel", days[16], None, -999.0, None),
        ("discharge_s", days[1], "jump", days[1], None, 0.28316846592, None),
    ]
    flags = pl.DataFrame(rows, schema=FLAGS.columns, orient="row")
    reordered = dam.model_copy(update={"gauges": dam.gauges[::-1]})
    spec = record_chart(daily, flags, reordered).to_dict()  # validates
    assert [panel["title"]["text"] for panel in spec["concat"]] == ["Reservoir level, ft", "A river, ft3/s"]
    (gap,) = marks_of(spec, 0, "rect")
    assert (str(gap["first"])[:10], str(gap["last"])[:10]) == (str(days[6]), str(days[14]))
    assert marks_of(spec, 1, "rect") == []
    line = {str(row["date"])[:10]: row["value"] for row in marks_of(spec, 0, "line")}
    levels[16] = None  # no line to a sentinel
    assert line == dict(zip(map(str, days), levels, strict=True))
    points = [(str(row["date"])[:10], row["reason"], row["value"]) for row in marks_of(spec, 0, "point")]
    assert points == [(str(days[2]), "spike", 302.0), (str(days[16]), "sentinel", 300.0)], "a sentinel is at the edge"
    assert [row["value"] for row in marks_of(spec, 1, "point")] == pytest.approx([10.0]), "1 m3/s is 35.31 ft3/s"
    (dots,) = (part for part in spec["concat"][0]["layer"] if part["mark"]["type"] == "point")
    scale = dots["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        reason: REASON_COLOURS[reason] for reason in ("spike", "sentinel")
    }


@pytest.mark.parametrize(("count", "rest"), [(19, ""), (20, " (the first 20 of 21 gauges)")])
def test_a_picture_has_at_most_twenty_panels_and_says_so(count: int, rest: str) -> None:
    dam = synthetic.small_dam(*(synthetic.rain_gauge(f"r{n}") for n in range(count)))
    chart = record_chart(level_frame(dam, [1.0, 2.0]), FLAGS.empty(), dam).to_dict()
    assert len(chart["concat"]) == 20
    assert chart["title"] == f"SIMULATED · Small Dam: record, gaps (grey) and values to check{rest}"


def test_candidates_have_their_gain_in_percent_their_correlation_and_lag() -> None:
    rows = [
        {"title": "Rain at B", "gain": 0.12, "correlation": 0.5, "lag": 1, "used": True},
        {"title": "A river", "gain": -0.01, "correlation": -0.25, "lag": 0, "used": False},
        {"title": "C", "gain": None, "correlation": 0.0, "lag": 3, "used": False},
    ]
    spec = drivers_chart(rows, "Candidates").to_dict()  # validates
    gains, (bars, texts) = spec["concat"][0], spec["concat"][1]["layer"]
    (shown,) = spec["datasets"].values()

    def column(part: Spec, axis: str) -> list[object]:
        return [row[part["encoding"][axis]["field"]] for row in shown]

    titles = [row["title"] for row in rows]
    assert all(part["encoding"]["y"]["sort"] == titles == column(part, "y") for part in (gains, bars, texts))
    assert column(gains, "x") == [pytest.approx(12.0), pytest.approx(-1.0), None]
    assert column(bars, "x") == column(texts, "x") == [0.5, -0.25, 0.0]
    assert column(texts, "text") == ["1 d", "0 d", "3 d"]
    colours = gains["encoding"]["color"]["scale"]
    assert column(gains, "color") == ["yes", "no", "no"]
    assert colours == bars["encoding"]["color"]["scale"] and colours["domain"] == ["yes", "no"]
    assert spec["title"] == "Candidates"


def test_neighbours_are_four_gauges_the_variables_in_turn_its_own_first() -> None:
    gauges = [
        synthetic.rain_gauge("r1"), synthetic.rain_gauge("r2"), synthetic.rain_gauge("r3"),
        STREAM, {**STREAM, "station": "t", "name": "B river"},
        {"role": "temperature", "station": "w", "variable": "temperature", "unit": "degC"},
    ]  # fmt: skip
    dam = synthetic.small_dam(*gauges)
    daily = level_frame(dam, [1.0, 2.0])

    def panels(column: str) -> list[str]:
        gauge = next(gauge for gauge in dam.gauges if gauge.column == column)
        _, *neighbours = gauge_chart(daily, FLAGS.empty(), dam, gauge).to_dict()["concat"]
        return [panel["title"]["text"] for panel in neighbours]

    assert panels("rainfall_r2") == ["Rainfall 1, mm", "Reservoir level, m", "A river, ft3/s", "Rainfall 3, mm"]
    assert panels("reservoir_level") == ["Rainfall 1, mm", "A river, ft3/s", "Rainfall 2, mm", "B river, ft3/s"]
