"""Numbers on the server for Prometheus, at /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from forebay.forecasts.alerts import RAISED
from forebay.web.content import now_utc

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from forebay.web.dam_state import DamState
    from forebay.web.refresher import RefresherStatus

PATH = "/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter()


@router.get(PATH, include_in_schema=False)
def metrics(request: Request) -> Response:
    """The metrics as text."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(request.app.state))
    return Response(generate_latest(registry), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


class _Collector:
    """The metrics of an application, read when they are asked for."""

    def __init__(self, state: Any) -> None:  # Any: starlette's state has any attributes
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Each metric with its samples."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        snapshot, now = self._state.site.snapshot, now_utc()
        for name, text, value in (
            ("forecast_age_seconds", "Time since the end of the day whose level the forecast starts from.", _age),
            ("forecast_stale", "1 if that level is too old for a current forecast, or there is none.", _stale),
            ("fetch_age_seconds", "Time since the last complete fetch of a gauge of the dam.", _fetch_age),
            ("alerts_raised", "Number of raised alerts.", _raised),
        ):
            family = GaugeMetricFamily(f"forebay_{name}", text, labels=["dam"])
            for dam, state in snapshot.dams.items():
                number = value(state, now)
                if number is not None:
                    family.add_metric([dam], number)
            yield family
        yield GaugeMetricFamily(
            "forebay_archive_readable", "0 if the archive cannot be read now.", value=float(not snapshot.failure)
        )
        yield GaugeMetricFamily("forebay_streams", "Open streams of events.", value=self._state.streams.count)
        counts = CounterMetricFamily("forebay_requests", "Requests by what became of them.", labels=["outcome"])
        for outcome, count in self._state.counts.items():
            counts.add_metric([outcome], count)
        yield counts
        if self._state.refresher is not None:
            yield from _refresher(self._state.refresher.status)


def _refresher(status: RefresherStatus) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield CounterMetricFamily("forebay_refreshes", "Refreshes that ended.", value=status.refreshes)
    yield CounterMetricFamily(
        "forebay_refresh_failures", "Refreshes with a failed dam, or that did not end.", value=status.failures
    )
    yield CounterMetricFamily("forebay_refresher_restarts", "Restarts of the refresher.", value=status.restarts)
    yield GaugeMetricFamily("forebay_refreshing", "1 while a refresh runs.", value=float(status.state == "refreshing"))
    yield GaugeMetricFamily("forebay_refresh_failed_dams", "Failed dams of the last refresh.", value=len(status.failed))
    if status.last_seconds is not None and status.last_end is not None:
        yield GaugeMetricFamily(
            "forebay_refresh_duration_seconds", "Duration of the last refresh.", value=status.last_seconds
        )
        yield GaugeMetricFamily(
            "forebay_refresh_end_timestamp_seconds", "When the last refresh ended.", value=status.last_end.timestamp()
        )


def _age(state: DamState, now: datetime) -> float | None:
    age = state.age(now)
    return None if age is None else age / timedelta(seconds=1)


def _stale(state: DamState, now: datetime) -> float:
    return float(state.is_stale(now))


def _fetch_age(state: DamState, now: datetime) -> float | None:
    return None if state.fetched_at is None else (now - state.fetched_at) / timedelta(seconds=1)


def _raised(state: DamState, _: datetime) -> float:
    return float(state.alerts.filter(state=RAISED).height)
