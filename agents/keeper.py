"""Who keeps a lease on the host: a process that sleeps, and puts the host in order when the lease ends.

So a host whose controller was killed or cut off comes to rest by itself: what runs for that run is ended, settings
are put back, and then the lease goes. Where the keeper is killed as well, the next one to take the host does this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from pathlib import Path
from typing import Any, Dict

from agents import lease, limits, sweep, tune
from agents.daemon import apart
from agents.lease import Place, Record

#: Looks at the sign of life so often in the time for which one counts.
_LOOKS = 4
_LONGEST_NAP_S = 30.0


def keep(place: Place, record: Record) -> int:
    """Start the keeper and let it go: its pid. Raises OSError where no process can be made."""
    log = Path(record.spool) / "lease" / "keeper.log"
    said = apart(
        log,
        lambda ready: _watch(place, record, ready),
        lambda _, e: traceback.print_exception(type(e), e, e.__traceback__),
    )
    return int(said or b"0")


def _watch(place: Place, record: Record, ready: int) -> None:
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.write(ready, b"%d" % os.getpid())
    os.close(ready)
    while True:
        left = lease.renew(place, record)
        if left is None:
            return
        if left <= 0:
            break
        time.sleep(max(0.05, min(left, record.ttl_s / _LOOKS, _LONGEST_NAP_S)))
    put_in_order(place, record)
    lease.drop(place, record.id, Path(record.spool))


def put_in_order(place: Place, record: Record) -> Dict[str, Any]:
    """End what runs for the record's run, and put settings back: {stopped, orphans, restored, not_restored}."""
    done: Dict[str, Any] = {"stopped": [], "orphans": []}
    with contextlib.suppress(OSError, ValueError):
        swept = sweep.sweep(Path(record.spool), record.run, float("inf"), live=True)
        done = {"stopped": swept["stopped"], "orphans": swept["orphans"]}
    return {**done, **tune.Tuner(place).restore(record.id)}


def dismiss(record: Record) -> None:
    """End the keeper of a lease that was given back."""
    if record.is_kept() and record.keeper != os.getpid():
        limits.send([record.keeper], signal.SIGTERM)
