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

_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
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
def embedded(home: Path, logs: Path) -> Iterator[None]:
    """Start Ray on this machine and end it on the way out, and its home with it. Its logs are moved to
    ``logs`` where the body raised, else removed. Raises SetupError where Ray does not start."""
    token = home / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    before = {k: os.environ.get(k) for k in (*_SETTINGS, "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")}
    os.environ.update(_SETTINGS, RAY_AUTH_TOKEN_PATH=str(token))
    os.environ.pop("RAY_AUTH_TOKEN", None)
    clean = False
    try:
        _start(home)
        yield
        clean = True
    finally:
        _stop()
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        remove_home(home, None if clean else logs)


def _start(home: Path) -> None:
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
            _node_ip_address=NODE_ADDRESS,
            _temp_dir=str(home / _BELOW),
        )
    except Exception as e:  # Ray documents no set of exceptions for a failed start
        raise SetupError(
            "ray", f"does not start on this machine: {e}", "see the logs in the run folder"
        ) from e


def _stop() -> None:
    import ray

    ray.shutdown()


def _keep_logs(home: Path, logs: Path) -> None:
    for session in (home / _BELOW).glob("session_[0-9]*"):
        with contextlib.suppress(OSError):
            shutil.copytree(session / "logs", logs / "ray", dirs_exist_ok=True)
