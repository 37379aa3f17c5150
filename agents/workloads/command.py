"""Any program of the host, run as it is. It learns what was planned from ORCH_… variables, and may
print records (docs/reference/harness-protocol.md) if it wants to."""

from __future__ import annotations

from typing import List

from agents.wire import Order
from agents.workloads.setting import BadSetting, Setting

SUMMARY = "any program of the host, run as it is; its exit status decides"

SETTINGS = {
    "argv": Setting("list", "program and arguments, one text each; no shell is involved", required=True),
    "shell": Setting("bool", "join the texts with blanks and give them to /bin/sh -c", default=False),
}
FREE_SETTINGS = False
EXPECTS_RECORDS = False
NEEDS_PROGRAM = False


def argv(order: Order) -> List[str]:
    words = order.settings.get("argv")
    if not isinstance(words, list) or not words or not isinstance(words[0], str) or not words[0]:
        raise BadSetting("argv: expected a list of texts that begins with a program")
    if not all(isinstance(w, (str, int, float)) and not isinstance(w, bool) for w in words):
        raise BadSetting("argv: expected texts only")
    if any("\0" in str(w) for w in words):
        raise BadSetting("argv: a text holds a NUL character")
    line = [str(w) for w in words]
    return ["/bin/sh", "-c", " ".join(line)] if order.settings.get("shell") else line
