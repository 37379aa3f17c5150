"""An argument that says how many of something."""

from __future__ import annotations

from typing import Any

from orchestrator.model.units import kind


def count(value: Any) -> int:
    """Raises ValueError in words for the user."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a number of at least 1, got {kind(value)}")
    return value
