"""What happens in a run, told to a web address as it happens: one POST of a JSON object each (docs/fleet/watching.md).

A run never waits for it and never fails by it: events wait in a short queue, and what finds no room there is counted.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import InputError

_LOG = logging.getLogger(__name__)

#: The address, which may hold a secret: so it is given in the environment and stands in no journal and on no command line.
VARIABLE = "ORCH_WEBHOOK"
_WAITING = 256
_TRIES = 3
_PAUSE_S = 0.5
_TIMEOUT_S = 10.0
#: How long the end of a run waits for the last events to be told.
_LAST_S = 15.0


class Webhook:
    """One thread that posts. ``close`` waits for what is still to be told, for a while."""

    def __init__(self, url: str) -> None:
        """Raises InputError for what is no web address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(VARIABLE, "is not a web address", "http://… or https://…")
        self._url = url
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue(_WAITING)
        self._dropped = 0
        #: why an event could not be told, the last time; "" as long as all could
        self.trouble = ""
        self._thread = threading.Thread(target=self._post_all, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, event: Mapping[str, Any]) -> None:
        """Returns at once. ``event``: what can be written as JSON."""
        try:
            self._events.put_nowait({"time": round(time.time(), 3), **event})
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        try:
            self._events.put(None, timeout=_LAST_S)
        except queue.Full:
            self.trouble = self.trouble or "it is too slow"
        self._thread.join(_LAST_S)

    def _post_all(self) -> None:
        while (event := self._events.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            self._post({**event, "dropped": dropped} if dropped else event)

    def _post(self, event: dict[str, Any]) -> None:
        body = json.dumps(event, allow_nan=False, default=str).encode()
        request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
            self._url, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        for attempt in range(_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - as above
                    return
            except (OSError, ValueError) as e:
                # the address stays out of the message: it may be a secret
                status = f"status {e.code}" if isinstance(e, urllib.error.HTTPError) else type(e).__name__
                reason = getattr(e, "reason", None)
                self.trouble = f"{status}: {reason}" if reason else status
                if isinstance(e, urllib.error.HTTPError) and e.code < 500:
                    break
            time.sleep(_PAUSE_S * 2**attempt)
        _LOG.warning("an event was not told to %s: %s", VARIABLE, self.trouble)
