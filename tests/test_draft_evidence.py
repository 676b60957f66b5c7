"""Conclusions of a draft from numbers and dates: totals since a reset, future dates, successive files, drivers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forebay.draft import ranking
from forebay.draft.answers import Answers
from forebay.draft.dates import date_readings
from forebay.draft.periods import join_periods
from forebay.draft.tables import user_table
from forebay.draft.times import are_accumulated
from forebay.models.model import Array

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("resets", "fall_to", "is_accumulated"), [(0, 0.0, True), (2, 0.0, True), (2, 0.5, False), (8, 0.0, False)]
)
def test_totals_since_a_reset_fall_rarely_and_to_zero(resets: int, fall_to: float, is_accumulated: bool) -> None:
    """300 days with 2 mm on each third day; a reset of `resets` leaves the share `fall_to` of the total."""
    total, numbers = 0.0, []
    for day in range(300):
        total += 2.0 if day % 3 == 0 else 0.0
        if resets and day % (300 // resets) == 30:
            total *= fall_to
        numbers.append(total)
    assert are_accumulated(pl.Series(numbers)) == is_accumulated
    assert not are_accumulated(pl.Series(numbers[:89])), "too few numbers"


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("05/03/2024", ["%d/%m/%Y"]),  # tomorrow, or 3 May
        ("06/03/2024", ["%d/%m/%Y", "%m/%d/%Y"]),  # both later than tomorrow: the user is asked
        ("04/03/2024", ["%d/%m/%Y"]),
        ("02/03/2024", ["%d/%m/%Y", "%m/%d/%Y"]),  # both in the past
    ],
)
def test_dates_later_than_tomorrow_exclude_a_format_if_another_one_has_none(text: str, forms: list[str]) -> None:
    cells = pl.DataFrame({"date": ["01/01/2024", "02/02/2024", text]})
    assert [reading.form for reading in date_readings(cells, NOW)] == forms


@pytest.mark.parametrize(
    ("first", "count"),
    [(date(2024, 1, 10), 1), (date(2024, 1, 9), 2), (date(2023, 12, 29), 2), (date(2023, 12, 28), 1)],
)
def test_files_are_one_record_if_they_share_no_date(first: date, count: int, tmp_path: Path) -> None:
    """One file has the days 31 December to 9 January; another one has three days from `first` on."""
    tables = []
    for name, start, days in (("level_2023.csv", date(2023, 12, 31), 10), ("level_2024.csv", first, 3)):
        rows = [f"{start + timedelta(days=n)},{n}.5" for n in range(days)]
        (tmp_path / name).write_text("\n".join(["date,level_m", *rows]))
        tables.append(user_table(str(tmp_path / name), Answers(accept_defaults=True), NOW, []))
    joined = join_periods(tables, Answers())
    assert len(joined) == count
    assert sum(len(table.cells) for table in joined) == 13


def test_a_week_lies_between_training_and_test_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every day is tested once, against a fit on all days that are more than a week away."""
    day = np.flatnonzero(np.arange(500) % 50 > 3)
    tested: list[float] = []

    def predict(train: Array, target: Array, test: Array) -> Array:
        distance = np.abs(day[:, None] - test[:, 0]).min(axis=1)
        assert train[:, 0].tolist() == target.tolist()
        assert set(day[distance > ranking.PURGE_DAYS + 4]) <= set(target) <= set(day[distance > ranking.PURGE_DAYS])
        tested.extend(test[:, 0])
        return test[:, 0]

    monkeypatch.setattr(ranking, "_predict", predict)
    assert ranking._test_error(day[:, None].astype(float), day.astype(float), day) == 0
    assert tested == day.tolist()
