"""Pieces of work are done by tasks of the run's Ray, in order, and here where Ray cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.engine.driver import DriverSeats


def whose(piece: int) -> tuple[int, int]:
    return piece, os.getpid()


def broken(piece: int) -> int:
    raise ValueError(f"no {piece}")


@pytest.mark.ray
@pytest.mark.slow
def test_pieces_are_done_by_ray_in_order_and_here_when_it_is_gone(tmp_path: Path) -> None:
    with DriverSeats([], tmp_path) as seats:
        answers = seats.spread(whose, range(5))
        assert [piece for piece, _ in answers] == [0, 1, 2, 3, 4]
        assert os.getpid() not in {pid for _, pid in answers}
        with pytest.raises(ValueError, match="no 0"):
            seats.spread(broken, range(2))
        assert seats.spread(whose, [7]) == [(7, os.getpid())]
        seats._child.kill()
        assert seats.spread(whose, range(2)) == [(0, os.getpid()), (1, os.getpid())]


def test_without_ray_they_are_done_here(tmp_path: Path) -> None:
    assert DriverSeats([], tmp_path).spread(whose, range(2)) == [(0, os.getpid()), (1, os.getpid())]
