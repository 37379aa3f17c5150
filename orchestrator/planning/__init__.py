"""From playbook, inventory and facts to the plan. Pure: the same input gives the same plan, byte for byte."""

from __future__ import annotations

from orchestrator.planning.plan import make_plan
from orchestrator.planning.select import candidates

__all__ = ["candidates", "make_plan"]
