"""Labs: a real fleet on this machine. Their inventories are named ``lab:NAME``."""

from __future__ import annotations

from pathlib import Path

_PREFIX = "lab:"


def lab_inventory(name: str) -> Path:
    """Raises InputError where there is no such lab, or where it is not up."""
    from orchestrator.lab import loopback

    return loopback.load(name).inventory


def inventory_path(text: str | None) -> Path | None:
    """The file that the option -i means: a path, or ``lab:NAME``; None where nothing was given."""
    if not text:
        return None
    if text.startswith(_PREFIX):
        return lab_inventory(text.removeprefix(_PREFIX))
    return Path(text)
