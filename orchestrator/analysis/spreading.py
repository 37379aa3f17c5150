"""Work of an analysis that can be done in pieces, wherever there are hands for it: in this process, or in tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Spread(Protocol):
    """Gives ``work(piece)`` for every piece, in their order. ``work`` is a function of a module and pure, pieces and answers can be pickled."""

    def __call__(self, work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]: ...


def here(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """One after the other, in this process."""
    return [work(piece) for piece in pieces]
