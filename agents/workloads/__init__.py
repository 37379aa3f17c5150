"""The workloads that an agent can run: one file each, one line here."""

from __future__ import annotations

from typing import Dict

from agents.workloads import command, cyclictest, native, race, stress_ng
from agents.workloads.setting import Adapted, BadSetting, Setting, Workload

TABLE: Dict[str, Workload] = {
    "command": command,
    "cyclictest": cyclictest,
    "native": native,
    "race": race,
    "stress_ng": stress_ng,
}

#: Those whose program knows nothing of us: `agents.adapter` runs it and makes records of what it says.
ADAPTED: Dict[str, Adapted] = {
    "command": command,
    "cyclictest": cyclictest,
    "stress_ng": stress_ng,
}

__all__ = ["ADAPTED", "TABLE", "BadSetting", "Setting", "Workload"]
