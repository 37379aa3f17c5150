"""Reaching a host. Adding a transport: one file with an opener, and one line in the table below."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from orchestrator.model.address import Address
from orchestrator.transport.kept import Connections, Opener
from orchestrator.transport.link import Completed, Link, Streaming
from orchestrator.transport.retrying import Backoff, RetryingLink

__all__ = [
    "OPENERS",
    "Backoff",
    "Completed",
    "Connections",
    "Link",
    "Opener",
    "RetryingLink",
    "Streaming",
    "open_link",
    "open_retrying",
]


_LOADING = threading.Lock()


@contextlib.contextmanager
def _without_match_exec() -> Iterator[None]:
    """What paramiko imports for the `Match exec` of an ssh_config alone takes as long to load as all the rest: not now.
    `ssh_config` brings it in where a file needs it."""
    if "paramiko" in sys.modules or "invoke" in sys.modules:
        yield
        return
    sys.modules["invoke"] = None  # type: ignore[assignment]  # as the import system has it for what must not be imported
    try:
        yield
    finally:
        del sys.modules["invoke"]


def _open_local(address: Address) -> Link:
    from orchestrator.transport.local import LocalLink

    return LocalLink(address)


def _open_ssh(address: Address) -> Link:
    with _LOADING, _without_match_exec():
        from orchestrator.transport.ssh import open_ssh

    return open_ssh(address)


#: kind of link → what opens one; paramiko is imported only where it is used
OPENERS: dict[str, Opener] = {
    "local": _open_local,
    "ssh": _open_ssh,
}


def open_link(address: Address) -> Link:
    """An open link to the host. Raises a `LinkError` where there is no way in."""
    return OPENERS["local" if address.local else "ssh"](address)


def open_retrying(
    address: Address, backoff: Backoff | None = None, opener: Opener = open_link
) -> RetryingLink:
    """A link that opens at its first verb, and again when it was lost; see `RetryingLink` for what it repeats."""
    return RetryingLink(address.name, lambda: opener(address), backoff)
