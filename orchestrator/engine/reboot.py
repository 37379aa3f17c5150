"""The command of the user's that boots a host anew (`reboot:` of an inventory), run here when the host was lost or found broken.

Once per host and run, beside the run, which does not wait for it until its end. What came of it is a `reboot` note.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.model.address import Address

#: The longest that the command may take.
PATIENCE_S = 120.0
_SAID = 500


class Reboots:
    """Of one run. ``gone`` returns at once; ``close`` waits for what is under way, and notes what came of all of it."""

    def __init__(
        self,
        addresses: Mapping[str, Address],
        note: Callable[[str, dict[str, Any]], object],
        say: Callable[[str], None],
    ) -> None:
        self._addresses = addresses
        self._note = note
        self._say = say
        self._threads: dict[str, threading.Thread] = {}
        self._results: dict[str, dict[str, Any]] = {}

    def gone(self, host: str, why: str) -> None:
        """The host is lost or broken. Nothing happens where its inventory has no command, or had its turn."""
        address = self._addresses.get(host)
        if address is None or not address.reboot or host in self._threads:
            return
        self._say(f"{host}: its reboot command is run")
        thread = threading.Thread(target=self._run, args=(address, why), name=f"reboot-{host}", daemon=True)
        self._threads[host] = thread
        thread.start()

    def close(self) -> None:
        for host, thread in self._threads.items():
            thread.join()
            result = self._results[host]
            self._note("reboot", result)
            self._say(f"{host}: its reboot command {result['reason']}")

    def _run(self, address: Address, why: str) -> None:
        """Its words and these: ORCH_HOST, ORCH_ADDRESS, ORCH_REASON."""
        more = {"ORCH_HOST": address.name, "ORCH_ADDRESS": address.host or address.name, "ORCH_REASON": why}
        code: int | None = None
        said = ""
        try:
            process = subprocess.Popen(
                address.reboot,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **more},
                start_new_session=True,
            )
        except (OSError, ValueError) as e:
            reason = f"could not be started: {getattr(e, 'strerror', None) or e}"
        else:
            try:
                out, _ = process.communicate(timeout=PATIENCE_S)
                said = out.decode(errors="replace").strip()[-_SAID:]
                code = process.returncode
                reason = f"ended with exit status {code}" + (f": {said.splitlines()[-1]}" if said else "")
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                reason = f"took longer than {PATIENCE_S:g} s and was killed"
        self._results[address.name] = {"host": address.name, "exit": code, "said": said, "reason": reason}
