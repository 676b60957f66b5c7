"""The Darts side of `benchmarks/hindcast.py` in `.venv-bench`: LightGBM on the inputs of forebay.

Run: ``python benchmarks/peer_darts.py INPUT.npz OUTPUT.npz plain|fast point|quantiles``. The inputs at the end of a
day are past covariates of lag −1, so that a forecast uses no later value. The target has no lags, because the inputs
contain them. Darts needs a series without gaps: missing levels are interpolated and have weight 0 in every fit.

plain
    One call of `historical_forecasts` on daily changes with 7 steps, refitted on 1 January. The change to day h is the
    sum of h steps.
fast
    For each lead time a series of h-day changes, refitted on 1 January. `historical_forecasts` without refitting
    computes the days between two fits at once.
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
class BenchmarkData:
    """The input file of a peer.

    level: per day, NaN where missing; inputs: as known at the end of each day; start: index of the first init date;
    leads: days; quantiles; parameters: of forebay's `trees`.
    """

    dates: pd.DatetimeIndex
    level: np.ndarray
    inputs: TimeSeries
    start: int
    leads: tuple[int, ...]
    quantiles: tuple[float, ...]
    parameters: dict[str, object]

    def change(self, lead: int) -> tuple[TimeSeries, TimeSeries]:
        """Change over the `lead` days that end on each day, and its weight: 1 if observed, 0 if interpolated."""
        index = np.arange(len(self.level))
        known = np.isfinite(self.level)
        level = np.interp(index, index[known], self.level[known])
        change, weight = np.zeros(len(level)), np.zeros(len(level))
        change[lead:], weight[lead:] = level[lead:] - level[:-lead], known[lead:] & known[:-lead]
        return self._series(change), self._series(weight)

    def _series(self, values: np.ndarray) -> TimeSeries:
        return TimeSeries.from_times_and_values(self.dates, values.astype(np.float64), freq="D")

    def model(self, kind: str, *, steps: int, shift: int = 0) -> LightGBMModel:
        """Darts' LightGBM with the parameters of forebay's `trees`, for the median (L1 loss) or all quantiles."""
        loss = {"likelihood": "quantile", "quantiles": list(self.quantiles)} if kind == "quantiles" else {}
        parameters = {k: v for k, v in self.parameters.items() if not (loss and k == "objective")}
        return LightGBMModel(
            lags_past_covariates=[-1], output_chunk_length=steps, output_chunk_shift=shift, random_state=1,
            **loss, **parameters,
        )  # fmt: skip


def read(path: str) -> BenchmarkData:
    """The content of the input file."""
    with np.load(path, allow_pickle=False) as content:
        dates = pd.DatetimeIndex(content["dates"].astype("datetime64[ns]"))
        names = [f"input_{k}" for k in range(content["inputs"].shape[1])]
        inputs = TimeSeries.from_times_and_values(dates, content["inputs"], freq="D", columns=names)
        leads, quantiles = (tuple(content[name].tolist()) for name in ("leads", "quantiles"))
        parameters = json.loads(str(content["parameters"]))
        return BenchmarkData(dates, content["level"], inputs, int(content["start"]), leads, quantiles, parameters)


def plain(benchmark: BenchmarkData, kind: str) -> np.ndarray:
    """Changes by day, lead and quantile, from one historical forecast of 7 daily changes per day."""
    change, weight = benchmark.change(1)
    forecasts = benchmark.model(kind, steps=max(benchmark.leads)).historical_forecasts(
        change, past_covariates=benchmark.inputs, sample_weight=weight, start=benchmark.dates[benchmark.start + 1],
        forecast_horizon=max(benchmark.leads), stride=1, last_points_only=False, overlap_end=True,
        retrain=_on_new_year,
        predict_likelihood_parameters=kind == "quantiles", show_warnings=False,
    )  # fmt: skip
    steps = np.full((len(benchmark.dates), max(benchmark.leads), _width(benchmark, kind)), np.nan)
    for forecast in forecasts:
        steps[(forecast.start_time() - benchmark.dates[0]).days - 1] = forecast.values(copy=False)
    return np.cumsum(steps, axis=1)[:, [lead - 1 for lead in benchmark.leads]]


def _on_new_year(
    counter: int, pred_time: pd.Timestamp, train_series: object, past_covariates: object, future_covariates: object
) -> bool:
    """Whether Darts refits for the forecast with first step `pred_time`; a forecast of 1 January starts on the 2nd."""
    return counter == 0 or (pred_time.month, pred_time.day) == (1, 2)


def fast(benchmark: BenchmarkData, kind: str) -> np.ndarray:
    """Changes by day, lead and quantile; one model per lead, refitted by hand, forecasts many days at once."""
    days = np.arange(benchmark.start, len(benchmark.dates))
    dates = benchmark.dates
    new_year = [int(d) for d in days if d == benchmark.start or (dates[d].month, dates[d].day) == (1, 1)]
    result = np.full((len(benchmark.dates), len(benchmark.leads), _width(benchmark, kind)), np.nan)
    for k, lead in enumerate(benchmark.leads):
        change, weight = benchmark.change(lead)
        for first, after in zip(new_year, [*new_year[1:], len(benchmark.dates)], strict=True):
            model = benchmark.model(kind, steps=1, shift=lead - 1)
            model.fit(change[:first], past_covariates=benchmark.inputs, sample_weight=weight[:first])
            # the series need not contain the forecast days, but Darts takes the origins from it
            forecasts = model.historical_forecasts(
                change[: min(after, len(benchmark.dates))], past_covariates=benchmark.inputs, retrain=False,
                start=benchmark.dates[first + 1] if first + 1 < len(benchmark.dates) else benchmark.dates[first],
                forecast_horizon=1, overlap_end=True, show_warnings=False,
                predict_likelihood_parameters=kind == "quantiles",
            )  # fmt: skip
            init = (forecasts.time_index - benchmark.dates[0]).days.to_numpy() - lead
            is_new = (init >= first) & (init < after)
            result[init[is_new], k] = forecasts.values(copy=False)[is_new]
    return result


def _width(benchmark: BenchmarkData, kind: str) -> int:
    return len(benchmark.quantiles) if kind == "quantiles" else 1


def main() -> None:
    """Write the forecasts."""
    source, target, way, kind = sys.argv[1:]
    forecasts = {"plain": plain, "fast": fast}[way](read(source), kind)
    np.savez(target, change=forecasts)


if __name__ == "__main__":
    main()
