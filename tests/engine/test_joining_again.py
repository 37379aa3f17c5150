"""A host whose node was lost is asked to join again until it does, or until there is nothing more to join."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.engine import driver
from orchestrator.engine.driver import DriverSeats
from orchestrator.engine.nodes import Admission


@pytest.fixture
def seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DriverSeats:
    """As with a child that runs, which nobody has to be for this."""
    monkeypatch.setattr(driver, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(driver, "LONGEST_PAUSE_S", 0.02)
    (tmp_path / "token").write_text("secret")
    made = DriverSeats([], tmp_path)
    made._child, made._home, made._head = object(), tmp_path, "10.0.0.1:6379"
    return made


def test_it_is_asked_until_it_joins(seats: DriverSeats) -> None:
    asked: list[tuple[str, str, list[str]]] = []

    def join(admission: Admission, only: Sequence[str] | None) -> list[str]:
        asked.append((admission.head, admission.token, list(only or ())))
        return [["h2"], [], ["h1"]][len(asked) - 1]

    seats._join = join
    seats._join_until(["h1", "h2"])
    head = ("10.0.0.1:6379", "secret")
    assert asked == [(*head, ["h1", "h2"]), (*head, ["h1"]), (*head, ["h1"])]


def test_nobody_is_asked_where_there_is_another_head_or_none(seats: DriverSeats) -> None:
    asked: list[object] = []

    def join(admission: Admission, only: Sequence[str] | None) -> list[str]:
        asked.append(only)
        if len(asked) == 3:
            seats._child = None
        return []

    seats._join = join
    seats._join_until(["h1"])
    assert len(asked) == 3
