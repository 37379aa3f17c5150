"""Ray, embedded: the head of a run's cluster on this machine, that lives as long as the run, and what its other nodes need to know.

Every Ray here demands a token (32 random bytes, in a file with mode 0600): its processes listen on all
interfaces whatever address they are given. Nothing is sent to anyone; the dashboard is off.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import SetupError
from orchestrator.fleet.certificates import Papers
from orchestrator.fleet.home import BELOW, hold, remove_home, token_file
from orchestrator.model.plan import ClusterPlan

#: Ray replaces 127.0.0.1 by the machine's outer address; any other loopback address is kept, and a
#: run must not end because a network interface changes its address.
NODE_ADDRESS = "127.0.0.2"

#: The label by which the node of a host is found: unlike the id of a node it is the same when it joins again.
HOST_LABEL = "host"

#: Of every process of a cluster, here and on the hosts.
_NODE_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
}
#: Ray asks each node whether it is alive: after so many milliseconds at first, so often, with so long to answer, and so many times
#: in vain before it is dead.
_HEALTH = {
    "short": ("2000", "1000", "2000", "3"),
    # a host that is busy, or cut off for a moment, is not dead
    "long": ("2000", "2000", "5000", "4"),
}
_HEALTH_SETTINGS = tuple(
    f"RAY_health_check_{name}"
    for name in ("initial_delay_ms", "period_ms", "timeout_ms", "failure_threshold")
)
_TLS_SETTINGS = ("RAY_TLS_CA_CERT", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY")
_TOKEN_SETTINGS = ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")
#: All that a process of a cluster has in its environment on account of it.
RAYS_OWN = ("RAY_USE_TLS", *_NODE_SETTINGS, *_HEALTH_SETTINGS, *_TLS_SETTINGS, *_TOKEN_SETTINGS)

#: What has a port of its own, in the order of the ports of a range: as an option of `ray start`, and as Ray's own code calls it. The
#: first is the head's alone; what is left of the range is for workers.
HEAD_PORT = "gcs_server_port"
_PORTS = {
    "node-manager-port": "node_manager_port",
    "object-manager-port": "object_manager_port",
    "runtime-env-agent-port": "runtime_env_agent_port",
    "dashboard-agent-grpc-port": "metrics_agent_port",
    "dashboard-agent-listen-port": "dashboard_agent_listen_port",
    "metrics-export-port": "metrics_export_port",
}


@dataclass(frozen=True)
class Head:
    """What the head is to be: ``address`` of this machine, as nodes reach it; ``papers`` where it speaks TLS."""

    address: str = NODE_ADDRESS
    plan: ClusterPlan = field(default_factory=ClusterPlan)
    papers: Papers | None = None


def node_settings(plan: ClusterPlan) -> dict[str, str]:
    """Variables for every process of the cluster; token and certificates are not among them."""
    tls = {"RAY_USE_TLS": "1"} if plan.tls else {}
    return {**_NODE_SETTINGS, **dict(zip(_HEALTH_SETTINGS, _HEALTH[plan.health], strict=True)), **tls}


def node_options(plan: ClusterPlan) -> dict[str, str]:
    """Options of `ray start` for a node, by their names."""
    if not plan.ports:
        return {}
    first, last = plan.ports
    options = {name: str(first + 1 + i) for i, name in enumerate(_PORTS)}
    return {
        **options,
        "min-worker-port": str(first + 1 + len(_PORTS)),
        "max-worker-port": str(last),
    }


def check_ports(plan: ClusterPlan) -> None:
    """Raises SetupError where something else on this machine has ports that the head must have."""
    if taken := _ports_in_use(plan):
        what = f"port {', '.join(map(str, taken))} of this machine is in use"
        raise SetupError("cluster.ports", what, "say other ports, or wait for the run that has them")


def _ports_in_use(plan: ClusterPlan) -> list[int]:
    taken = []
    for port in range(plan.ports[0], plan.ports[0] + 1 + len(_PORTS)) if plan.ports else ():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("", port))
            except OSError:
                taken.append(port)
    return taken


@contextlib.contextmanager
def embedded(home: Path, logs: Path, head: Head | None = None) -> Iterator[str]:
    """Start Ray on this machine and end it on the way out, and its home with it: HOST:PORT for nodes that join. Its logs
    are moved to ``logs`` where the body raised, else removed. Raises SetupError where Ray does not start."""
    wanted = head or Head()
    hold(home)
    token = token_file(home)
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    before = {k: os.environ.pop(k, None) for k in RAYS_OWN}
    os.environ.update(node_settings(wanted.plan), RAY_AUTH_TOKEN_PATH=str(token))
    if wanted.papers is not None:
        os.environ.update(wanted.papers.written(home))
    clean = False
    try:
        with _at_ports(wanted.plan):
            address = _start(home, wanted)
        yield address
        clean = True
    finally:
        _stop()
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        remove_home(home, None if clean else logs)


@contextlib.contextmanager
def _at_ports(plan: ClusterPlan) -> Iterator[None]:
    """A head that is started in here has its processes on the ports of the plan: `ray.init` has no words for that, but what it starts them by has."""
    if not plan.ports:
        yield
        return
    parameter: Any = importlib.import_module("ray._private.parameter")
    first, last = plan.ports
    numbers = {name: first + 1 + i for i, name in enumerate(_PORTS.values())}
    numbers |= {HEAD_PORT: first, "min_worker_port": first + 1 + len(_PORTS), "max_worker_port": last}
    original: Any = parameter.RayParams

    def with_ports(**settings: Any) -> Any:
        return original(**{**settings, **numbers})

    parameter.RayParams = with_ports
    try:
        yield
    finally:
        parameter.RayParams = original


def _start(home: Path, wanted: Head) -> str:
    import ray

    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise SetupError("ray", "token authentication is off", "this is a defect; please report it")
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(
            address="local",
            num_cpus=max(1, os.cpu_count() or 1),
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=wanted.plan.object_store_bytes,
            _node_ip_address=wanted.address,
            _temp_dir=str(home / BELOW),
        )
    except Exception as e:  # Ray documents no set of exceptions for a failed start
        raise SetupError(
            "ray", f"does not start on this machine: {e}", "see the logs in the run folder"
        ) from e
    return str(ray.get_runtime_context().gcs_address)


def _stop() -> None:
    import ray

    ray.shutdown()
