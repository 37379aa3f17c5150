"""How far a run is, as OpenMetrics for Prometheus and whatever reads that: docs/fleet/watching.md has every name.

The figures are those of the board at the moment of asking; nothing is kept here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agents.wire import VITAL_UNITS
from orchestrator.errors import InputError
from orchestrator.report.board import Board, HostState

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: The address that is listened on where none is given: whoever can reach it may read, so nobody from outside.
LOOPBACK = "127.0.0.1"
_LEVELS = {"": 0, "suspect": 1, "broken": 2}


def place(text: str) -> tuple[str, int]:
    """``9464``, ``0.0.0.0:9464`` or ``[::1]:9464`` → address and port; port 0: any that is free. Raises InputError."""
    address, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (colon and not address):
        raise InputError(f"--metrics {text}", "is neither PORT nor ADDRESS:PORT", "e.g. 9464 or 0.0.0.0:9464")
    return address.strip("[]") or LOOPBACK, int(port)


class _Collector:
    """What a scrape asks for its figures."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        board = self._board
        hosts = dict(board.hosts)
        yield from _of_run(board)
        yield from _counters(hosts)
        yield from _gauges(board, hosts)


def _of_run(board: Board) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("orch_run", "The run.", {"run": board.run, "playbook": board.playbook})
    yield GaugeMetricFamily(
        "orch_run_left_seconds", "Until the last host is through, an estimate.", value=board.left()
    )
    steps = GaugeMetricFamily("orch_steps", "Steps of the plan, and how they ended.", labels=["state"])
    for state, count in board.counts().items():
        steps.add_metric([state], count)
    yield steps


#: Name, what it says, and where it is.
_COUNTERS: tuple[tuple[str, str, Callable[[HostState], float]], ...] = (
    ("orch_launches", "Launches that have ended.", lambda h: h.launches),
    ("orch_violations", "Violations that were told.", lambda h: h.violations),
    ("orch_bad", "Launches that failed, violations, and steps that failed or were lost.", lambda h: h.bad),
)


def _counters(hosts: dict[str, HostState]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    for name, about, value in _COUNTERS:
        counter = CounterMetricFamily(name, about, labels=["host"])
        for host, state in hosts.items():
            counter.add_metric([host], value(state))
        yield counter
    troubles = CounterMetricFamily(
        "orch_host_troubles", "Findings about the host's health.", labels=["host", "kind"]
    )
    for host, state in hosts.items():
        for kind, count in dict(state.troubles).items():
            troubles.add_metric([host, kind], count)
    yield troubles


def _gauges(board: Board, hosts: dict[str, HostState]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    rate = GaugeMetricFamily("orch_ops_per_second", "Of the last interval or result.", labels=["host", "job"])
    left = GaugeMetricFamily("orch_host_left_seconds", "Until the host is through.", labels=["host"])
    steps = GaugeMetricFamily("orch_host_steps", "Planned steps of the host.", labels=["host", "state"])
    health = GaugeMetricFamily("orch_host_health", "0 nothing found, 1 suspect, 2 broken.", labels=["host"])
    vitals = GaugeMetricFamily("orch_vital", "The last sample.", labels=["host", "vital", "unit"])
    for host, state in hosts.items():
        if state.ops_per_second is not None:
            rate.add_metric([host, state.job], state.ops_per_second)
        left.add_metric([host], board.remaining(state))
        steps.add_metric([host, "planned"], state.steps)
        steps.add_metric([host, "over"], len(state.ends))
        health.add_metric([host], _LEVELS[state.health.partition(":")[0]])
        for name, value in dict(state.vitals).items():
            vitals.add_metric([host, name, VITAL_UNITS.get(name, "")], value)
    yield from (rate, left, steps, health, vitals)


class Endpoint:
    """Listens from the moment that it is made until `close`."""

    def __init__(self, board: Board, where: str) -> None:
        """``where``: as for `place`. Raises InputError where that cannot be listened on."""
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

        address, port = place(where)
        registry = CollectorRegistry()
        registry.register(_Collector(board))
        ProcessCollector(registry=registry)
        try:
            served: tuple[Any, threading.Thread] = start_http_server(port, address, registry)
        except (OSError, OverflowError) as e:
            why = getattr(e, "strerror", None) or e
            raise InputError(f"--metrics {where}", f"cannot be listened on: {why}", "another port?") from e
        self._server, self._thread = served
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
