"""The cache: what is written into it at the same time by several is there, whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.bundle.cache import write_atomically


def test_threads_of_one_process_may_write_the_same_file_at_the_same_time(tmp_path: Path) -> None:
    path, data = tmp_path / "made", bytes(1 << 20)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write_atomically(path, data), range(64)))
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]
