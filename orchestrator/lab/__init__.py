"""Labs: a real fleet on this machine. Their inventories are named ``lab:NAME``."""

from __future__ import annotations

import os
import re
from pathlib import Path

_PREFIX = "lab:"
_LAB_OF_A_HOST = re.compile(r"""^\s*["']?lab["']?\s*:\s*["']?([a-z0-9][a-z0-9_.-]*)""", re.MULTILINE)


def lab_inventory(name: str) -> Path:
    """Raises InputError where there is no such lab, or where it is not up."""
    from orchestrator.lab import labs

    return labs.load(name).inventory


def inventory_path(text: str | None) -> Path | None:
    """The file that the option -i means: a path, or ``lab:NAME``; None where nothing was given. Where its hosts are
    those of a lab with a network of its own, this program starts again in there; raises InputError where that is down."""
    if not text:
        return None
    path = lab_inventory(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else Path(text)
    for name in _labs_in(path):
        _enter(name)
    return path


def _labs_in(path: Path) -> set[str]:
    """Labs that a file names. A program that prints an inventory is not run for this."""
    if not path.is_file() or os.access(path, os.X_OK):
        return set()
    try:
        return set(_LAB_OF_A_HOST.findall(path.read_text()))
    except (OSError, UnicodeDecodeError):
        return set()  # whoever reads it says so


def _enter(name: str) -> None:
    from orchestrator.lab import labs

    if name in labs.names():
        lab = labs.load(name)
        if lab.kind == "rack":
            from orchestrator.lab import rack

            rack.enter(lab)
