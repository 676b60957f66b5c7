"""`forebay.web.sparkline`: the picture of a dam has its levels and its forecast in their places."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from forebay.web.sparkline import HEIGHT, MARGIN, WIDTH, sparkline

FIRST = date(2024, 5, 1)
LEVELS = [99.0, 99.25, None, 98.5, 99.0]
FAN = {6: (98.75, 99.5, 101.0), 8: (98.25, 100.0, 102.5)}
"""Day → lower end, median and upper end."""


def picture_of(*, stale: bool = False, suspect: int | None = None) -> SimpleNamespace:
    levels = [
        SimpleNamespace(date=FIRST + timedelta(days=k), level=level, suspect="jump" if k == suspect else None)
        for k, level in enumerate(LEVELS)
    ]
    forecast = [
        SimpleNamespace(valid_date=FIRST + timedelta(days=day), q05=low, q50=median, q95=high)
        for day, (low, median, high) in FAN.items()
    ]
    return SimpleNamespace(
        levels=levels, forecast=forecast, stale=stale, level_date=FIRST + timedelta(days=4), start_level=99.0
    )


def places(text: str, *, days: int, low: float, high: float) -> list[tuple[float, float]]:
    """Day and level of each point of a picture that spans these days and levels; higher levels are further up."""
    points = [tuple(map(float, point.split(","))) for point in text.split()]
    return [
        (days * (x - MARGIN) / (WIDTH - 2 * MARGIN), low + (high - low) * (HEIGHT - MARGIN - y) / (HEIGHT - 2 * MARGIN))
        for x, y in points
    ]


def test_every_point_is_at_its_day_and_level() -> None:
    picture = sparkline(picture_of())  # type: ignore[arg-type]  # only what it draws
    assert picture is not None
    span = {"days": 8, "low": 98.25, "high": 102.5}
    runs = [point for run in picture.observed for point in places(run, **span)]  # type: ignore[arg-type]  # numbers
    expected = {
        "observed": ([(k, level) for k, level in enumerate(LEVELS) if level is not None], runs),
        "median": ([(4, 99.0), (6, 99.5), (8, 100.0)], places(picture.median, **span)),  # type: ignore[arg-type]
        "band": ([(4, 99.0), (6, 101.0), (8, 102.5), (8, 98.25), (6, 98.75), (4, 99.0)],
                 places(picture.band, **span)),  # type: ignore[arg-type]
    }  # fmt: skip
    assert len(picture.observed) == 2, "a gap"
    for name, (points, drawn) in expected.items():
        assert len(points) == len(drawn), name
        for point, place in zip(points, drawn, strict=True):
            assert place == pytest.approx(point, abs=0.02), name


def test_a_stale_forecast_is_left_out() -> None:
    picture = sparkline(picture_of(stale=True))  # type: ignore[arg-type]  # only what it draws
    assert picture is not None and (picture.median, picture.band) == ("", "")
    last = places(picture.observed[-1], days=4, low=98.5, high=99.25)
    assert last[-1] == pytest.approx((4, 99.0), abs=0.02), "the observed days fill the picture"


def test_a_suspect_level_is_a_gap() -> None:
    picture = sparkline(picture_of(suspect=1))  # type: ignore[arg-type]  # only what it draws
    assert picture is not None
    days = [place[0] for run in picture.observed for place in places(run, days=8, low=98.25, high=102.5)]
    assert days == pytest.approx([0, 3, 4], abs=0.05)
