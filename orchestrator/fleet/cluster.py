"""Ray, embedded: a cluster of one node on this machine that lives as long as the run.

Every Ray here demands a token (32 random bytes, in a file with mode 0600): its processes listen on all
interfaces whatever address they are given. Nothing is sent to anyone; the dashboard is off.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import SetupError

#: Ray replaces 127.0.0.1 by the machine's outer address; any other loopback address is kept, and a
#: run must not end because a network interface changes its address.
NODE_ADDRESS = "127.0.0.2"

#: Ray's smallest object store; journals pass through it in pieces of some kilobytes.
OBJECT_STORE_BYTES = 80 * 2**20

#: Ray opens its own folder to everybody, sockets included; the one around it stays ours. Short: see `make_home`.
_BELOW = "r"

#: The label by which the node of a host is found: unlike the id of a node it is the same when it joins again.
HOST_LABEL = "host"

#: Of every process of a cluster, here and on the hosts. A dead node shows in some seconds, and one that is only slow does not die.
NODE_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "4",
}


def make_home() -> Path:
    """A folder for one embedded Ray, to be removed with `remove_home`. Sockets lie below it, and their
    paths are limited to 107 bytes: so it is not in the run folder."""
    return Path(tempfile.mkdtemp(prefix="orch-ray-", dir="/tmp"))


def remove_home(home: Path, logs: Path | None = None) -> None:
    """``logs``: where Ray's logs are kept first. Harmless where it is gone already."""
    if logs is not None:
        _keep_logs(home, logs)
    shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def embedded(home: Path, logs: Path, address: str = NODE_ADDRESS) -> Iterator[str]:
    """Start Ray on this machine and end it on the way out, and its home with it: HOST:PORT for nodes that join. Its logs
    are moved to ``logs`` where the body raised, else removed. ``address``: of this machine, as those nodes reach it.
    Raises SetupError where Ray does not start."""
    token = token_file(home)
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    before = {k: os.environ.get(k) for k in (*NODE_SETTINGS, "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")}
    os.environ.update(NODE_SETTINGS, RAY_AUTH_TOKEN_PATH=str(token))
    os.environ.pop("RAY_AUTH_TOKEN", None)
    clean = False
    try:
        yield _start(home, address)
        clean = True
    finally:
        _stop()
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        remove_home(home, None if clean else logs)


def token_file(home: Path) -> Path:
    """Where the token lies of the Ray that lives in ``home``."""
    return home / "token"


def _start(home: Path, address: str) -> str:
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
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address=address,
            _temp_dir=str(home / _BELOW),
        )
    except Exception as e:  # Ray documents no set of exceptions for a failed start
        raise SetupError(
            "ray", f"does not start on this machine: {e}", "see the logs in the run folder"
        ) from e
    return str(ray.get_runtime_context().gcs_address)


def _stop() -> None:
    import ray

    ray.shutdown()


def _keep_logs(home: Path, logs: Path) -> None:
    for session in (home / _BELOW).glob("session_[0-9]*"):
        with contextlib.suppress(OSError):
            shutil.copytree(session / "logs", logs / "ray", dirs_exist_ok=True)
