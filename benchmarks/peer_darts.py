"""The Darts side of `benchmarks/hindcast.py`, which runs it in `.venv-bench`: LightGBM on forebay's own inputs.

Run: ``python benchmarks/peer_darts.py GIVEN.npz MADE.npz plain|fast point|quantiles``. What is known at the end of a
day is a past covariate of lag −1, so that nothing later is told; no lag of the target is needed, the inputs hold them.
Days without a level are bridged by a line, as Darts wants a series without holes, and weigh nothing in any fit.

plain
    One call of `historical_forecasts` on daily changes, 7 steps, fitted anew where its `retrain` says so, on 1 January;
    the change to day h is the sum of h steps.
fast
    For each lead a series of h-day changes; fitted anew each 1 January, and between them `historical_forecasts` without
    fitting, which Darts then makes for all days at once.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.models import LightGBMModel


@dataclass(frozen=True)
class Given:
    """What forebay hands over.

    level: per day, NaN where unknown; inputs: what was known at each day's end; start: index of the first init date to
    forecast from; leads: days; quantiles; parameters: those of forebay's `trees`.
    """

    dates: pd.DatetimeIndex
    level: np.ndarray
    inputs: TimeSeries
    start: int
    leads: tuple[int, ...]
    quantiles: tuple[float, ...]
    parameters: dict[str, object]

    def change(self, lead: int) -> tuple[TimeSeries, TimeSeries]:
        """The change over the `lead` days that end on each day, and 1 where it is known, 0 where it is bridged."""
        index = np.arange(len(self.level))
        known = np.isfinite(self.level)
        level = np.interp(index, index[known], self.level[known])
        change, weight = np.zeros(len(level)), np.zeros(len(level))
        change[lead:], weight[lead:] = level[lead:] - level[:-lead], known[lead:] & known[:-lead]
        return self._series(change), self._series(weight)

    def _series(self, values: np.ndarray) -> TimeSeries:
        return TimeSeries.from_times_and_values(self.dates, values.astype(np.float64), freq="D")

    def model(self, asked: str, *, steps: int, shift: int = 0) -> LightGBMModel:
        """Darts' LightGBM with the parameters of forebay's `trees`, for the median (L1 loss) or all quantiles."""
        loss = {"likelihood": "quantile", "quantiles": list(self.quantiles)} if asked == "quantiles" else {}
        parameters = {k: v for k, v in self.parameters.items() if not (loss and k == "objective")}
        return LightGBMModel(
            lags_past_covariates=[-1], output_chunk_length=steps, output_chunk_shift=shift, random_state=1,
            **loss, **parameters,
        )  # fmt: skip


def read(path: str) -> Given:
    """What stands in the file that forebay wrote."""
    with np.load(path, allow_pickle=False) as held:
        dates = pd.DatetimeIndex(held["dates"].astype("datetime64[ns]"))
        names = [f"input_{k}" for k in range(held["inputs"].shape[1])]
        inputs = TimeSeries.from_times_and_values(dates, held["inputs"], freq="D", columns=names)
        leads, quantiles = (tuple(held[name].tolist()) for name in ("leads", "quantiles"))
        parameters = json.loads(str(held["parameters"]))
        return Given(dates, held["level"], inputs, int(held["start"]), leads, quantiles, parameters)


def plain(given: Given, asked: str) -> np.ndarray:
    """Changes per day, lead and quantile; one historical forecast of 7 daily changes from each day."""
    change, weight = given.change(1)
    made = given.model(asked, steps=max(given.leads)).historical_forecasts(
        change, past_covariates=given.inputs, sample_weight=weight, start=given.dates[given.start + 1],
        forecast_horizon=max(given.leads), stride=1, last_points_only=False, overlap_end=True,
        retrain=_on_new_year,
        predict_likelihood_parameters=asked == "quantiles", show_warnings=False,
    )  # fmt: skip
    steps = np.full((len(given.dates), max(given.leads), _width(given, asked)), np.nan)
    for forecast in made:
        steps[(forecast.start_time() - given.dates[0]).days - 1] = forecast.values(copy=False)
    return np.cumsum(steps, axis=1)[:, [lead - 1 for lead in given.leads]]


def _on_new_year(
    counter: int, pred_time: pd.Timestamp, train_series: object, past_covariates: object, future_covariates: object
) -> bool:
    """Whether to fit anew for the forecast whose first step is `pred_time`: that of 1 January starts on the 2nd."""
    return counter == 0 or (pred_time.month, pred_time.day) == (1, 2)


def fast(given: Given, asked: str) -> np.ndarray:
    """Changes per day, lead and quantile; each lead's own model, fitted by hand, its days forecast at once."""
    days = np.arange(given.start, len(given.dates))
    new_year = [int(d) for d in days if d == given.start or (given.dates[d].month, given.dates[d].day) == (1, 1)]
    result = np.full((len(given.dates), len(given.leads), _width(given, asked)), np.nan)
    for k, lead in enumerate(given.leads):
        change, weight = given.change(lead)
        for first, after in zip(new_year, [*new_year[1:], len(given.dates)], strict=True):
            model = given.model(asked, steps=1, shift=lead - 1)
            model.fit(change[:first], past_covariates=given.inputs, sample_weight=weight[:first])
            # the series need not reach the days that are forecast, but Darts takes the origins from it
            made = model.historical_forecasts(
                change[: min(after, len(given.dates))], past_covariates=given.inputs, retrain=False,
                start=given.dates[first + 1] if first + 1 < len(given.dates) else given.dates[first],
                forecast_horizon=1, overlap_end=True, show_warnings=False,
                predict_likelihood_parameters=asked == "quantiles",
            )  # fmt: skip
            init = (made.time_index - given.dates[0]).days.to_numpy() - lead
            keep = (init >= first) & (init < after)
            result[init[keep], k] = made.values(copy=False)[keep]
    return result


def _width(given: Given, asked: str) -> int:
    return len(given.quantiles) if asked == "quantiles" else 1


def main() -> None:
    """Write what was asked for."""
    source, target, way, asked = sys.argv[1:]
    made = {"plain": plain, "fast": fast}[way](read(source), asked)
    np.savez(target, change=made)


if __name__ == "__main__":
    main()
