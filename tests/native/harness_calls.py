"""How tests call the real harness and read what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Every harness run of these tests ends by itself within a few seconds; this only ends a hanging one.
PATIENCE_S = 240


@dataclass(frozen=True)
class Said:
    """What one call of a harness gave."""

    status: int
    records: list[dict[str, Any]]
    errors: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [r for r in self.records if r["type"] == kind]

    @property
    def result(self) -> dict[str, Any]:
        assert self.records, self.errors
        assert self.records[-1]["type"] == "result"
        return self.records[-1]

    @property
    def metrics(self) -> dict[str, float]:
        return {m["metric"]: m["value"] for m in self.result["metrics"]}


Harness = Callable[..., Said]


def read_records(text: str) -> list[dict[str, Any]]:
    """Every line is one JSON object, and the last one ends with a newline."""
    assert text == "" or text.endswith("\n")
    lines = text.splitlines()
    assert all(len(line) < 64 * 1024 for line in lines)
    return [json.loads(line) for line in lines]
