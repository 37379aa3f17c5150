"""One thread that watches calls which have no bound of their own."""

import queue
import threading
import time

from orchestrator.transport.bound import bound


def test_a_call_that_takes_too_long_is_cut_and_one_that_does_not_is_left_alone() -> None:
    called: queue.SimpleQueue[str] = queue.SimpleQueue()
    with bound(600.0, lambda: called.put("patient")), bound(0.01, lambda: called.put("late")):
        assert called.get(timeout=60) == "late"
        time.sleep(0.05)
    with bound(0.01, lambda: called.put("soon")):
        assert called.get(timeout=60) == "soon"
    assert called.empty()


def test_what_is_over_is_never_cut() -> None:
    called: queue.SimpleQueue[str] = queue.SimpleQueue()
    for _ in range(200):
        with bound(30.0, lambda: called.put("late")):
            pass
    with bound(0.01, lambda: called.put("last")):
        assert called.get(timeout=60) == "last"
    assert called.empty()


def test_many_calls_have_one_thread() -> None:
    def watching() -> int:
        return sum(thread.name == "bounds" for thread in threading.enumerate())

    def held() -> None:
        with bound(30.0, lambda: None):
            inside.wait()
            over.wait(60)

    inside, over = threading.Barrier(9), threading.Event()
    threads = [threading.Thread(target=held) for _ in range(8)]
    for thread in threads:
        thread.start()
    inside.wait()
    assert watching() == 1
    over.set()
    for thread in threads:
        thread.join()
