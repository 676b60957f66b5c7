"""Forecasts as inputs on the records of Kabini (rain) and Folsom (inflow): values by eye, no look-ahead, their gain.

The records are not part of the project (`shared`). Kabini's level is read at 08:00 and its forecasts are ECMWF runs of
00 UTC (05:30 local time). Folsom's file gives the storage at the start of each day.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forebay.dams.dam import Dam
from forebay.dams.dam_file import load_dam
from forebay.dams.hindcast import Hindcast
from forebay.days.daily import usable_values
from forebay.errors import DataError
from forebay.features import forcings, samples
from forebay.features.observed_forcings import check_forcings, observed_shares
from forebay.features.samples import Samples, make_samples
from forebay.models import FORECAST_MODELS, MODELS, models_for
from forebay.sources.forcing_files import read_forcings
from forebay.tables import REFERENCES
from forebay.verify import hindcast
from forebay.verify.default import with_default
from forebay.verify.point_forecasts import PointForecasts
from forebay.verify.scorecard import paired_gain
from tests.csv_tables import daily_from_files
from tests.shared import PROJECT, SHARED, needs_shared

pytestmark = needs_shared
LEADS = (1, 3, 7)
FOLSOM = SHARED / "data" / "folsom"


def dam_from(path: Path) -> Dam:
    """A dam file at the lead times of these tests."""
    dam = load_dam(str(path))
    return dam.model_copy(update={"hindcast": dam.hindcast.model_copy(update={"leads": LEADS})})


def samples_of(dam: Dam, issues: pl.DataFrame | None = None) -> Samples:
    """The samples of a dam's record, with its forcings or other `issues`."""
    frame = daily_from_files(dam)
    return make_samples(frame, frame, dam, read_forcings(dam) if issues is None else issues)


@cache
def record(name: str) -> tuple[Dam, Samples]:
    """A dam of `tests/dams` and its samples, computed once."""
    dam = dam_from(PROJECT / "tests" / "dams" / f"{name}.toml")
    return dam, samples_of(dam)


def inputs_on(known: Samples, day: str, lead: int) -> dict[str, float | None]:
    """The inputs from forecasts of one init date."""
    return known.forcing_inputs[lead].row(known.position(date.fromisoformat(day)), named=True)


def test_the_rain_of_kabini_starts_with_the_second_day_of_the_run_of_the_day_before() -> None:
    """Run of 2015-06-18: rain_d1 2.3591, rain_d2 2.9552, rain_d3 4.3367, rain_d4 4.5326."""
    _, known = record("kabini")
    assert inputs_on(known, "2015-06-19", 1) == {"forcing_ecmwf_lead": 2.9552}
    three = inputs_on(known, "2015-06-19", 3)
    assert three["forcing_ecmwf_2d"] == pytest.approx(2.9552 + 4.3367)
    assert three["forcing_ecmwf_lead"] == pytest.approx(2.9552 + 4.3367 + 4.5326)


def test_a_run_that_was_not_issued_is_missing() -> None:
    """The file has no runs from 2016-11-01 to 2017-10-31. The run of 2016-10-31 covers ten days and counts on one."""
    _, known = record("kabini")
    assert inputs_on(known, "2016-11-01", 7)["forcing_ecmwf_lead"] is not None
    first, end = (known.position(day) for day in (date(2016, 11, 2), date(2017, 11, 2)))
    for lead in LEADS:
        gap = known.forcing_inputs[lead][first:end]
        assert gap.null_count().row(0) == (len(gap),) * gap.width
        assert not known.has_forecasts(lead)[first:end].any()
    assert inputs_on(known, "2017-11-02", 7)["forcing_ecmwf_lead"] is not None


def test_folsoms_forecast_covers_the_days_after_its_issue() -> None:
    """Issue of 2013-11-18: day_mean .626, 2.558, 3.083, day_p50 .537, 1.75, 1.456, cum_mean of 7 days 10.183.

    The level of a day is the storage of the next line: 312.683 on 2013-11-18.
    """
    _, known = record("folsom")
    one, three = inputs_on(known, "2013-11-18", 1), inputs_on(known, "2013-11-18", 3)
    assert one["balance_ahead_cnrfc_mean"] == pytest.approx(0.626)
    assert three["balance_ahead_cnrfc_mean"] == pytest.approx((0.626 + 2.558 + 3.083) / 3)
    assert three["balance_ahead_cnrfc_q50"] == pytest.approx((0.537 + 1.75 + 1.456) / 3)
    assert three["balance_ahead_cnrfc_spread"] == pytest.approx((1.156 + 4.947 + 6.775 - 0.355 - 0.501 - 0.362) / 3)
    assert inputs_on(known, "2013-11-18", 7)["balance_ahead_cnrfc_mean"] == pytest.approx(10.183 / 7, abs=1e-3)
    assert known.level[known.position(date(2013, 11, 18))] == 312.683
    assert inputs_on(known, "2013-11-17", 1)["balance_ahead_cnrfc_mean"] is None, "no issue yet"
    assert inputs_on(known, "2014-03-01", 1)["balance_ahead_cnrfc_mean"] is None, "no issue of that day"
    assert known.has_forecasts(7).sum() == 1138


@pytest.mark.parametrize("name", ["kabini", "folsom"])
def test_issues_after_the_time_of_the_forecast_change_nothing(name: str) -> None:
    """Kabini's is 08:00 of the init date, when the level is read; Folsom's the end of the init date."""
    dam, known = record(name)
    day = date(2015, 12, 1)
    table = read_forcings(dam)
    time = forcings.known_by(pl.Series([day]), dam)[0]
    assert time.hour + time.minute / 60 == {"kabini": 2.5, "folsom": 8.0}[name], "UTC"
    changed = table.with_columns(value=pl.when(pl.col("known_time") > time).then(99.0).otherwise("value"))
    assert not changed.equals(table)
    count = known.position(day) + 1
    for lead, inputs in samples_of(dam, changed).forcing_inputs.items():
        assert_frame_equal(inputs.head(count), known.forcing_inputs[lead].head(count), check_exact=True)
        assert not inputs.slice(count, 1).equals(known.forcing_inputs[lead].slice(count, 1))


def test_the_run_of_the_day_enters_only_if_the_level_is_read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leak: at the end of the day, the run of the day itself is known; at 08:00 it is not."""
    dam, _ = record("kabini")

    def end_of_day(dates: pl.Series, dam: Dam) -> pl.Series:
        return known_by(dates + timedelta(days=1), dam)

    known_by = forcings.known_by
    monkeypatch.setattr(forcings, "known_by", end_of_day)
    assert inputs_on(samples_of(dam), "2015-06-19", 1) == {"forcing_ecmwf_lead": 3.5901}, "rain_d1 of 2015-06-19"


def folsom_copy(folder: Path, *, gauge: str = "", stamp: str = 'stamp = "end"\n') -> Dam:
    """Folsom's dam file and data in `folder`, with another `gauge` and `stamp` of the storage."""
    text = (PROJECT / "tests" / "dams" / "folsom.toml").read_text()
    text = text.replace("../../../shared/data/folsom", str(folder)).replace('stamp = "end"\n', stamp)
    for name in ("folsom_observed.csv", "folsom_inflow_forecast.csv"):
        if not (folder / name).exists():
            (folder / name).write_bytes((FOLSOM / name).read_bytes())
    path = folder / "folsom.toml"
    path.write_text(text.replace("[[forcings]]", f"{gauge}\n[[forcings]]"))
    return dam_from(path)


def test_columns_that_contain_the_future_never_enter(tmp_path: Path) -> None:
    """`cum_obs` is the observed inflow, `net_inflow_mcm` of a day is known from the storage of the next."""
    for name, column in (("folsom_observed.csv", "net_inflow_mcm"), ("folsom_inflow_forecast.csv", "cum_obs")):
        table = pl.read_csv(FOLSOM / name, infer_schema=False)
        assert column in table.columns
        table.with_columns(pl.lit("77.7").alias(column)).write_csv(tmp_path / name)
    _, known = record("folsom")
    changed = samples_of(folsom_copy(tmp_path))
    assert_frame_equal(changed.inputs, known.inputs, check_exact=True)
    for lead in LEADS:
        assert_frame_equal(changed.forcing_inputs[lead], known.forcing_inputs[lead], check_exact=True)
    np.testing.assert_array_equal(changed.observed, known.observed)


NET_INFLOW = """
[[gauges]]
role = "inflow"
source = "csv"
station = "net_inflow_mcm"
variable = "inflow"
unit = "m3/d"
scale = 1000000.0
file = {{ path = "{folder}/folsom_observed.csv", date = "date", value = "net_inflow_mcm" }}
"""


def test_raw_labels_with_the_flows_of_the_same_day_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage of a day is that of its start, and net inflow minus outflow of the day is its change to the next one.

    Without the check the error at 1 day is impossible: a regression has below .18 million m3 (the figure of the
    project's issue; here .002), where the forecast on the days of issue has 2.7.
    """
    raw = folsom_copy(tmp_path, gauge=NET_INFLOW.format(folder=tmp_path), stamp="")
    with pytest.raises(DataError, match=re.escape('set stamp = "end" for its gauge')):
        samples_of(raw)
    labelled = folsom_copy(tmp_path, gauge=NET_INFLOW.format(folder=tmp_path))
    samples_of(labelled)  # with the right label the same gauges are accepted
    monkeypatch.setattr(samples, "check_flow_days", lambda daily, dam: None)
    known = samples_of(raw)
    target, issued = known.change(known.trusted, 1), record("folsom")[1]
    is_issue = issued.has_forecasts(1)[issued.position(known.dates[0].item()) :][: len(target)]
    past = np.flatnonzero(np.isfinite(target[: known.position(date(2013, 1, 1))]))
    scored = np.flatnonzero(np.isfinite(target) & is_issue)
    changes = MODELS["huber"](1).fit(known.inputs[past], target[past]).predict(known.inputs[scored])
    assert np.mean(np.abs(changes - target[scored])) < 0.18


def test_an_observed_column_as_a_forecast_is_refused(tmp_path: Path) -> None:
    """`cum_obs` of the first day is the observed inflow of that day; the real forecasts are far from the observations.

    By a program of its own: the median of |cum_obs − net inflow| is .0186 million m3, that of |day_mean − net inflow|
    .865, and that of the change from day to day on the valid days .63.
    """
    dam, _ = record("folsom")
    newest = usable_values(daily_from_files(dam), dam)
    check_forcings(read_forcings(dam), newest, dam)
    shares = observed_shares(read_forcings(dam), newest, dam.forcings[0], dam)
    assert shares.filter(pl.col("series") == "cnrfc")["ahead"].to_list() == list(range(1, 15))
    first = shares.row(0, named=True)
    assert first["days"] == 1138 and first["share"] == pytest.approx(0.865 / 0.63, rel=0.02)
    path = tmp_path / "folsom.toml"
    for key in ("value", "q50"):
        folsom_copy(tmp_path)
        column = {"value": "day_mean", "q50": "day_p50"}[key]
        path.write_text(path.read_text().replace(f'{key} = "{column}"', f'{key} = "cum_obs"'))
        wrong = dam_from(path)
        series = {"value": "cnrfc", "q50": "cnrfc:q50"}[key]
        text = f"the values of forcing {series!r} for day 1 after the issue are the observed inflow of that day"
        with pytest.raises(DataError, match=f"{text} .median difference 3.0% .* on 1,138 days.; never use an obser"):
            check_forcings(read_forcings(wrong), newest, wrong)
    kabini, _ = record("kabini")
    check_forcings(read_forcings(kabini), usable_values(daily_from_files(kabini), kabini), kabini)


def test_the_model_of_the_inflow_forecast_alone_on_the_days_of_issue() -> None:
    """Its bars are those of the project's issue: at most 10.5 and 24 million m3 at 3 and 7 days."""
    dam, known = record("folsom")
    few = {name: MODELS[name] for name in ("damped_change", "no_change")}
    points = hindcast.point_forecasts(known, dam, {**few, **FORECAST_MODELS})
    mae = {}
    for name, point in points.items():
        for lead in LEADS:
            errors = np.abs(point.changes[lead] - known.observed_change(lead))
            mae[name, lead] = float(np.nanmean(errors[known.has_forecasts(lead)]))
    assert mae["inflow_ahead", 3] < 10.5 and mae["inflow_ahead", 7] < 24
    for lead in LEADS:
        assert mae["inflow_ahead", lead] < 0.75 * mae["damped_change", lead]


FEW_MODELS = ("no_change", "damped_change", "huber", "boosted_huber", "balance", "inflow_ahead")
"""Models of a blend that takes less than a minute. `scripts/skill` has the figures of all models (docs/skill.md)."""
OTHERS = ("default", *REFERENCES)


def default_of_few(known: Samples, dam: Dam) -> dict[str, PointForecasts]:
    models = {name: model for name, model in models_for(dam).items() if name in FEW_MODELS}
    return with_default(hindcast.point_forecasts(known, dam, models), known)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "months", "gains"),
    [("folsom", range(1, 13), {1: 0.10, 3: 0.15, 7: 0.15}), ("kabini", range(6, 12), {3: 0.04, 7: 0.06})],
)
def test_forecasts_as_inputs_reduce_the_error_of_the_blend(name: str, months: range, gains: dict[int, float]) -> None:
    """On the days with forecasts, against the better of the blend without them and the best reference.

    Measured with these models on 2026-11-28: Folsom 21.9, 25.4 and 27.9% at 1, 3 and 7 d (Kabini, June to November: 5.2
    and 8.7% at 3 and 7 d). The limits leave a margin.
    """
    dam, known = record(name)
    if name == "folsom":  # its forecasts begin in 2013, its record in 1989: fewer refits
        dam = dam.model_copy(update={"hindcast": Hindcast(leads=LEADS, start=date(2011, 1, 1), near_full_margin=24.0)})
    bare = dam.model_copy(update={"forcings": ()})
    frame = daily_from_files(bare)
    with_forecasts, without = default_of_few(known, dam), default_of_few(make_samples(frame, frame, bare), bare)
    in_season = np.isin(known.dates.astype("datetime64[M]").astype(int) % 12 + 1, list(months))
    for lead, gain in gains.items():
        observed = known.observed_change(lead)
        errors = [np.abs(with_forecasts["default"].changes[lead] - observed)]
        errors += [np.abs(point.changes[lead] - observed) for model, point in without.items() if model in OTHERS]
        scored = known.has_forecasts(lead) & in_season & np.all(np.isfinite(errors), axis=0)
        assert scored.sum() > 1000
        as_issued, *others = (float(np.mean(error[scored])) for error in errors)
        assert as_issued < (1 - gain) * min(others), (lead, as_issued, others)
        band = paired_gain(errors[0][scored], errors[1][scored], np.flatnonzero(scored))
        assert band[1] is not None and band[1] > 0, "the band of the paired bootstrap lies above 0"


def test_perfect_forecasts_are_the_observed_inflow_in_the_same_issues() -> None:
    """By hand: net inflow of 2013-11-19 … 21 in the file: 1.3493, 1.6519, 1.3407 million m3."""
    dam, known = record("folsom")
    newest = usable_values(daily_from_files(dam), dam)
    issues = read_forcings(dam)
    perfect = samples_of(dam, forcings.perfect_forecasts(issues, newest, dam))
    three = inputs_on(perfect, "2013-11-18", 3)
    for statistic in ("mean", "q50"):
        assert three[f"balance_ahead_cnrfc_{statistic}"] == pytest.approx((1.3493 + 1.6519 + 1.3407) / 3, abs=1e-6)
    assert three["balance_ahead_cnrfc_spread"] == 0.0
    np.testing.assert_array_equal(perfect.has_forecasts(7), known.has_forecasts(7))


def test_perfect_rain_without_a_rain_gauge_is_the_last_forecast_of_each_day() -> None:
    """Rain of the day that ends on 2015-06-20: rain_d1 of the run of 2015-06-19 is 3.5901."""
    dam, known = record("kabini")
    newest = usable_values(daily_from_files(dam), dam)
    perfect = samples_of(dam, forcings.perfect_forecasts(read_forcings(dam), newest, dam))
    assert inputs_on(perfect, "2015-06-19", 1) == {"forcing_ecmwf_lead": 3.5901}
    np.testing.assert_array_equal(perfect.has_forecasts(7), known.has_forecasts(7))
