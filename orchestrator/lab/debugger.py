"""The debugger of an emulated machine: while it is attached all of its CPUs stand still, and its memory is read and written.

What is spoken is the remote protocol of gdb, of which this is the part that is needed (QEMU's side: `-gdb` on a socket in the guest's folder).

    with Debugger(folder) as attached:
        attached.write(address, bytes)
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import SetupError

#: in the folder of the guest
SOCKET = "debugger"
_ANSWER_S = 60.0


class Debugger:
    """Attached from ``with`` on; the machine goes on where that ends. Addresses are those of its first CPU, the kernel's among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX)
        self._rest = b""

    def __enter__(self) -> Self:
        """Raises SetupError where no debugger can be attached."""
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            self._socket.settimeout(_ANSWER_S)
            # the path of a socket has room for 107 characters, that of a lab may have more
            self._socket.connect(f"/proc/self/fd/{folder}/{SOCKET}")
        except OSError as e:
            self._socket.close()
            raise SetupError("debugger", f"{self._folder.name} lets none be attached: {e}") from e
        finally:
            os.close(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ask("D")
        finally:
            self._socket.close()

    def read(self, address: int, size: int) -> bytes:
        """Raises SetupError where there is no such memory."""
        return bytes.fromhex(self._ask(f"m{address:x},{size:x}"))

    def write(self, address: int, data: bytes) -> None:
        """Whatever the pages allow: code, too. Raises SetupError where there is no such memory."""
        self._ask(f"M{address:x},{len(data):x}:{data.hex()}")

    def _ask(self, words: str) -> str:
        """The answer; it is ``OK`` for what has none, and an error is ``E`` and a number."""
        try:
            self._socket.sendall(f"${words}#{sum(words.encode()) % 256:02x}".encode())
            while (answer := self._packet()).startswith("T"):
                pass  # one that ran says first that it has stopped
            self._socket.sendall(b"+")
        except OSError as e:
            raise SetupError("debugger", f"{self._folder.name} does not answer: {e}") from e
        if answer.startswith("E"):
            raise SetupError("debugger", f"{self._folder.name} refuses {words.partition(':')[0]}: {answer}")
        return answer

    def _packet(self) -> str:
        """The next one; what comes before it acknowledges ours."""
        while (found := self._rest.partition(b"#"))[1] == b"" or len(found[2]) < 2:
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError("it hung up")
            self._rest += more
        self._rest = found[2][2:]
        return found[0].partition(b"$")[2].decode()
