"""Reaching a host. Adding a transport: one file with an opener, and one line in the table below."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.address import Address
from orchestrator.transport.link import Completed, Link, Streaming
from orchestrator.transport.retrying import Backoff, RetryingLink

__all__ = [
    "OPENERS",
    "Backoff",
    "Completed",
    "Link",
    "RetryingLink",
    "Streaming",
    "open_link",
    "open_retrying",
]


def _open_local(address: Address) -> Link:
    from orchestrator.transport.local import LocalLink

    return LocalLink(address)


def _open_ssh(address: Address) -> Link:
    from orchestrator.transport.ssh import open_ssh

    return open_ssh(address)


#: kind of link → what opens one; paramiko is imported only where it is used
OPENERS: dict[str, Callable[[Address], Link]] = {
    "local": _open_local,
    "ssh": _open_ssh,
}


def open_link(address: Address) -> Link:
    """An open link to the host. Raises a `LinkError` where there is no way in."""
    return OPENERS["local" if address.local else "ssh"](address)


def open_retrying(address: Address, backoff: Backoff | None = None) -> RetryingLink:
    """A link that opens at its first verb, and again when it was lost; see `RetryingLink` for what it repeats."""
    return RetryingLink(address.name, lambda: open_link(address), backoff)
