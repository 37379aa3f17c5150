"""Work that is pure and comes in many pieces, as Ray tasks wherever a CPU is free. A failed one is not tried again: whoever asked decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def pooled(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """``work(piece)`` for each, in their order, in the running Ray. Raises what Ray raises, or ``work`` did."""
    import ray

    task = ray.remote(num_cpus=1, max_retries=0)(work)
    answers: list[Any] = ray.get([task.remote(piece) for piece in pieces])
    return answers
