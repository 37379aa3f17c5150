"""The words for where threads and memory go, as they are written; `planning.place` says what they mean."""

from __future__ import annotations

import difflib
import re

from orchestrator.model.names import MEMORIES, PLACEMENTS

_NODE = re.compile(r"node:(\d{1,5})")
_NODES = re.compile(r"nodes:([1-9]\d{0,4})")
_LIST = re.compile(r"cpus:(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)", re.ASCII)
_MAX_CPU = 65535


class PlacementError(ValueError):
    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def check_placement(text: str) -> str:
    """``text`` where it is a placement. Raises PlacementError."""
    if _NODE.fullmatch(text) or _NODES.fullmatch(text):
        return text
    if text.startswith("cpus:"):
        cpu_list(text)
        return text
    if text in PLACEMENTS and ":" not in text:
        return text
    raise PlacementError(f"unknown placement {text!r}", _near(text, PLACEMENTS))


def check_memory(text: str) -> str:
    if text in ("local", "interleave") or _NODE.fullmatch(text):
        return text
    raise PlacementError(f"unknown memory policy {text!r}", _near(text, MEMORIES))


def node_of(text: str) -> int | None:
    """K of ``node:K``, None for anything else."""
    match = _NODE.fullmatch(text)
    return int(match[1]) if match else None


def nodes_in(text: str) -> int | None:
    """N of ``nodes:N``, None for anything else."""
    match = _NODES.fullmatch(text)
    return int(match[1]) if match else None


def cpu_list(text: str) -> list[int]:
    """``cpus:0-2,8`` → [0, 1, 2, 8], in the order written. Raises PlacementError."""
    match = _LIST.fullmatch(text)
    if not match:
        raise PlacementError(f"{text!r} is not a list of CPUs", "such as cpus:0-3,8")
    cpus: list[int] = []
    for part in match[1].split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if high < low or high > _MAX_CPU:
            raise PlacementError(f"{part!r} is not a range of CPUs", "such as cpus:0-3,8")
        cpus += range(low, high + 1)
    if len(set(cpus)) != len(cpus):
        raise PlacementError(f"{text!r} names a CPU twice", "")
    return cpus


def _near(text: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(text, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "there are " + ", ".join(known)
