"""What Prometheus scrapes: read from the database each time, and no more often than once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab import __version__
from dicomfab.access.policy import Action, visible
from dicomfab.model.actor import Actor
from dicomfab.model.monitoring import ServerState
from dicomfab.model.values import Environment

if TYPE_CHECKING:
    from prometheus_client import Metric

    from dicomfab.services.monitor.service import MonitorService, ServerStatus
    from dicomfab.storage.audit_delivery import Standing

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_KEPT_S: Final = 1.0
_SERVER: Final = ("server", "environment")


@dataclass(frozen=True, slots=True, eq=False)
class _Collector:
    """Makes the metrics when they are asked for.

    Args:
        board: the servers.
        jobs: how many there are, by state and kind.
        workers: how many are alive.
        deliveries: of the audit log.
    """

    board: tuple[ServerStatus, ...]
    jobs: dict[tuple[str, str], int]
    workers: int
    deliveries: tuple[Standing, ...]

    def collect(self) -> Iterator[Metric]:
        """Every metric that we have."""
        yield from self._servers()
        yield from self._installation()
        yield from self._deliveries()

    def _servers(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        up = GaugeMetricFamily(
            "dicomfab_pacs_up", "1 if the server is up, 0 if it is down; absent if that is not known.", labels=_SERVER
        )
        on = GaugeMetricFamily("dicomfab_pacs_monitored", "1 if the server is checked, else 0.", labels=_SERVER)
        latency = GaugeMetricFamily(
            "dicomfab_pacs_latency_seconds", "C-ECHO of the last check that succeeded.", labels=_SERVER
        )
        last = GaugeMetricFamily(
            "dicomfab_pacs_last_check_timestamp_seconds", "When the last check began.", labels=_SERVER
        )
        checks = CounterMetricFamily("dicomfab_pacs_checks", "Checks that were made.", labels=_SERVER)
        failures = CounterMetricFamily("dicomfab_pacs_failures", "Checks that failed.", labels=_SERVER)
        ratio = GaugeMetricFamily(
            "dicomfab_pacs_uptime_ratio", "Share of today's monitored time (UTC) in which it was up.", labels=_SERVER
        )
        for one in self.board:
            names, row, today = (one.server.id, str(one.server.environment)), one.row, one.uptime()
            on.add_metric(names, float(one.is_monitored))
            if one.state is not ServerState.UNKNOWN:
                up.add_metric(names, float(one.state is ServerState.UP))
            if row.latency_ms is not None:
                latency.add_metric(names, row.latency_ms / 1000)
            if row.last_at is not None:
                last.add_metric(names, row.last_at.timestamp())
                checks.add_metric(names, row.checks)
                failures.add_metric(names, row.failures)
            if today is not None:
                ratio.add_metric(names, today)
        yield from (up, on, latency, last, checks, failures, ratio)

    def _installation(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        jobs = GaugeMetricFamily("dicomfab_jobs", "Jobs that are kept.", labels=("state", "kind"))
        for (state, kind), number in sorted(self.jobs.items()):
            jobs.add_metric((state, kind), number)
        yield jobs
        yield GaugeMetricFamily("dicomfab_workers", "Workers that are alive.", value=self.workers)
        build = GaugeMetricFamily("dicomfab_build_info", "The version that runs; always 1.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build

    def _deliveries(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        to = ("receiver",)
        waiting = GaugeMetricFamily(
            "dicomfab_audit_undelivered", "Entries of the audit log that wait for a syslog receiver.", labels=to
        )
        since = GaugeMetricFamily(
            "dicomfab_audit_undelivered_since_timestamp_seconds", "Moment of the oldest of them.", labels=to
        )
        failures = GaugeMetricFamily(
            "dicomfab_audit_delivery_failures", "Attempts to deliver that failed in a row.", labels=to
        )
        for one in self.deliveries:
            waiting.add_metric((one.destination,), one.waiting)
            failures.add_metric((one.destination,), one.attempts)
            if one.waiting_since is not None:
                since.add_metric((one.destination,), one.waiting_since.timestamp())
        yield from (waiting, since, failures)


class Metrics:
    """The text that Prometheus reads, for those who may see the servers that it is about.

    Args:
        service: what is known of servers and jobs.
        count_workers: how many are alive.
        deliveries: of the audit log.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        service: MonitorService,
        count_workers: Callable[[], int],
        *,
        deliveries: Callable[[], tuple[Standing, ...]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._count_workers = count_workers
        self._deliveries = deliveries
        self._clock = clock
        self._kept: dict[frozenset[Environment], tuple[float, str]] = {}
        self._making = threading.Lock()

    def text(self, actor: Actor) -> str:
        """All metrics of the environments that the actor may see, in Prometheus's text format, at most 1 s old."""
        seen = visible(actor, Action.VIEW)
        with self._making:  # whoever comes meanwhile gets the same text
            made_at, text = self._kept.get(seen, (-_KEPT_S, ""))
            if not text or self._clock() - made_at >= _KEPT_S:
                text = self._made(actor, seen)
                self._kept[seen] = self._clock(), text
            return text

    def _made(self, actor: Actor, seen: frozenset[Environment]) -> str:
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        jobs = dict(self._service.job_counts(seen))
        board = self._service.board(actor, days=1)
        registry.register(_Collector(board, jobs, self._count_workers(), self._deliveries()))
        return generate_latest(registry).decode()
