"""The workloads that an agent can run: one file each, one line here."""

from __future__ import annotations

from typing import Dict

from agents.workloads import command, native
from agents.workloads.setting import BadSetting, Setting, Workload

TABLE: Dict[str, Workload] = {
    "command": command,
    "native": native,
}

__all__ = ["TABLE", "BadSetting", "Setting", "Workload"]
