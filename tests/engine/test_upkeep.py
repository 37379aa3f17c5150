"""The memory of a long watch: what is collected, when, and what is left alone."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Iterator

import psutil
import pyarrow.json
import pytest

from orchestrator.engine.upkeep import Upkeep


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def circle() -> weakref.ref[Circle]:
    return weakref.ref(Circle())


def test_a_circle_is_gone_after_a_minute_and_not_looked_for_before() -> None:
    now = [0.0]
    with Upkeep(60.0, lambda: now[0]) as upkeep:
        left = circle()
        now[0] = 59.0
        upkeep.turn()
        assert left() is not None
        now[0] = 60.0
        upkeep.turn()
        assert left() is None
        left = circle()
        now[0] = 119.0
        upkeep.turn()
        assert left() is not None


def test_what_was_there_before_is_not_looked_through_and_afterwards_it_is_again() -> None:
    before = circle()
    with Upkeep(0.0) as upkeep:
        upkeep.turn()
        assert before() is not None
    gc.collect()
    assert before() is None
    assert gc.get_freeze_count() == 0


def test_pages_that_are_free_between_others_go_back_to_the_system() -> None:
    own = psutil.Process()
    with Upkeep(0.0) as upkeep:
        many = [bytes(2000) for _ in range(20_000)]
        kept = many[::1000]
        many.clear()
        before = own.memory_info().rss
        upkeep.turn()
        assert before - own.memory_info().rss > 20_000_000
    assert len(kept) == 20


def test_a_journal_that_was_read_leaves_nothing_with_arrow() -> None:
    own, journal = psutil.Process(), b'{"seq":1,"kind":"launch","data":{"text":"as it was"}}\n' * 2_000
    usual = pyarrow.default_memory_pool().backend_name
    options = pyarrow.json.ReadOptions(use_threads=False)
    pyarrow.json.read_json(io.BytesIO(b'{"seq":1}'), options)

    with Upkeep(0.0) as upkeep:
        assert pyarrow.default_memory_pool().backend_name == "system"
        before = own.memory_info().rss
        for _ in range(20):
            pyarrow.json.read_json(io.BytesIO(journal), options)
        upkeep.turn()
        assert own.memory_info().rss - before < 1_000_000
    assert pyarrow.default_memory_pool().backend_name == usual
