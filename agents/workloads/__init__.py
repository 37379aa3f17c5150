"""The workloads that an agent can run: one file each, one line here."""

from __future__ import annotations

from typing import Dict

from agents.workloads import command, native, race
from agents.workloads.setting import BadSetting, Setting, Workload

TABLE: Dict[str, Workload] = {
    "command": command,
    "native": native,
    "race": race,
}

__all__ = ["TABLE", "BadSetting", "Setting", "Workload"]
