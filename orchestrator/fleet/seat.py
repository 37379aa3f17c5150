"""The seat: a Ray actor from which hosts are driven, each in a thread of its own.

Where a host has joined the cluster its seat sits on it; a host without Ray is driven from a seat on the
controller, over SSH. The driving code is the same: it gets a `Link`. A seat never runs native code in
its own process, and it owns nothing: whatever it had is on the host, or at the controller.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.fleet.cluster import HOST_LABEL

#: How many hosts one seat process on the controller drives: its threads mostly wait, and a process costs 120 MB.
HOSTS_PER_SEAT = 32
_TURN_S = 0.2


class Halt:
    """Asked from another thread to come to an end. ``on_set`` is called once, in that other thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._on_set: Callable[[], None] | None = None
        self._going: queue.SimpleQueue[float] = queue.SimpleQueue()

    @property
    def reason(self) -> str | None:
        """Why to stop; None while nobody asked."""
        return self._reason

    def set(self, reason: str) -> None:
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            call = self._on_set
        if call is not None:
            call()

    def go(self, at: float) -> None:
        """What waits in `wait_to_go` goes on. ``at``: the controller's wall clock."""
        self._going.put(at)

    def wait_to_go(self) -> float | None:
        """The next `go`, None where to end is asked for first."""
        while self._reason is None:
            with contextlib.suppress(queue.Empty):
                return self._going.get(timeout=_TURN_S)
        return None

    def watch(self, call: Callable[[], None] | None) -> None:
        """From now on ``call`` is what `set` calls; at once where it was set already."""
        with self._lock:
            self._on_set = call
            due = self._reason is not None
        if due and call is not None:
            call()


#: What a seat carries out: a generator of picklable pieces.
Work = Callable[[Halt], Iterator[Any]]


class Seat:
    """The actor's class, without Ray: tests use it as it is."""

    def __init__(self) -> None:
        self._halts: dict[str, Halt] = {}
        self._lock = threading.Lock()

    def drive(self, key: str, work: Work) -> Iterator[Any]:
        """Everything that ``work`` yields, as it comes."""
        try:
            yield from work(self._halt(key))
        finally:
            with self._lock:
                self._halts.pop(key, None)

    def halt(self, key: str, reason: str) -> None:
        """Ask the work of that key to end; harmless where there is none any more."""
        self._halt(key).set(reason)

    def go(self, key: str, at: float) -> None:
        """The work of that key waits for this."""
        self._halt(key).go(at)

    def _halt(self, key: str) -> Halt:
        with self._lock:
            return self._halts.setdefault(key, Halt())


def take_seat(host: str | None = None) -> Any:
    """A handle to a new seat: on this node, or on that of ``host``. A dead seat is not restarted by Ray: what to do then is
    the run's decision, and it is recorded."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(Seat)
    if host is not None:
        return actor.options(max_concurrency=4, label_selector={HOST_LABEL: host}).remote()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return actor.options(max_concurrency=2 * HOSTS_PER_SEAT + 2, scheduling_strategy=here).remote()


def hosts_alive() -> set[str]:
    """Hosts whose nodes the cluster holds for alive."""
    labels = [node.get("Labels") or {} for node in _alive()]
    return {each[HOST_LABEL] for each in labels if HOST_LABEL in each}


def here_alive() -> bool:
    """Whether the cluster still holds the node of this machine for alive."""
    import ray

    return ray.get_runtime_context().get_node_id() in {node.get("NodeID") for node in _alive()}


def nodes_alive() -> int:
    """How many nodes it holds for alive, this machine's among them."""
    return len(_alive())


def _alive() -> list[dict[str, Any]]:
    import ray

    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    return [node for node in nodes() if node.get("Alive")]
