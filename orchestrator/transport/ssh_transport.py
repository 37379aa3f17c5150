"""One SSH connection as paramiko keeps it, for runs that last for days and break many of them."""

from __future__ import annotations

import logging
import sys
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

# its thread reports on a logger, and a logger without a handler writes to the terminal
_log = logging.getLogger("paramiko")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class _Seen(dict[int, bool]):
    """Numbers of channels that there were, of which paramiko adds one and asks for one: it counts upwards, so that the highest
    tells of all."""

    highest = -1

    def __setitem__(self, number: int, _: bool) -> None:
        self.highest = max(self.highest, number)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number <= self.highest


class Transport(paramiko.Transport):
    """paramiko's, and what it leaves out: which signal ended the command of a channel. One that is over is gone from memory as soon
    as nobody refers to it, and one that lives keeps nothing of commands that have ended."""

    #: Seconds between looks whether somebody has closed it, ten times paramiko's: we end the socket first, which its thread hears at once.
    _active_check_timeout = 1.0

    def __init__(self, sock: Any) -> None:
        self.exit_signals: dict[int, str] = {}
        super().__init__(sock)
        self.channels_seen = _Seen()

    def _filter_algorithm(self, kind: str) -> tuple[str, ...]:
        """All of them, none is disabled. paramiko makes tuple and name anew whenever it looks, and Python keeps thousands of those."""
        every: tuple[str, ...] = getattr(self, sys.intern(f"_preferred_{kind}"))
        return every

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._untie()

    def _untie(self) -> None:
        """Cut what its thread alone used and what leads back to it: 20 KB of garbage, and a process with many objects collects
        what was old once in hundreds of connections. What another thread may still ask for stays, such as the error."""
        self._handler_table: dict[int, Any] = {}
        self.kex_engine = None
        self.packetizer.complete_handshake()  # or its timer goes on to the end
        vars(self.packetizer)["_Packetizer__timer"] = None
        error: BaseException | None = self.saved_exception
        while error is not None:
            error.__traceback__ = None
            error = error.__context__


def _note_exit_signal(channel: paramiko.Channel, message: paramiko.Message) -> None:
    kind = message.get_text()
    if kind == "exit-signal":
        message.get_boolean()
        transport = channel.get_transport()
        assert isinstance(transport, Transport)
        transport.exit_signals[channel.get_id()] = message.get_text()
    # the handler below starts at the kind again
    message.rewind()
    message.get_int()
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]  # noqa: SLF001


# no public way in; the contract suite's signal case fails should paramiko change this
Transport._channel_handler_table = {  # type: ignore[attr-defined]  # noqa: SLF001
    **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001
    MSG_CHANNEL_REQUEST: _note_exit_signal,
}
