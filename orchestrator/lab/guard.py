"""Whoever makes a lab may be killed meanwhile: then what there is of the lab goes, too.

A process of its own waits until the maker says that all is well; it holds the lab's lock meanwhile, so that nobody takes the half of a
lab for one. Where the maker ends without a word, it ends everything that carries the lab's mark, and removes its files.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.lab import processes

#: what a shell can wait for, an interpreter need not be started for
_WAIT = 'read -r word; [ "$word" = go ] || exec "$@"'
_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def over(path: Path, mark: str, lock: int) -> Iterator[None]:
    """While this lasts the death of this process is the end of the lab in ``path``, whose processes carry ``mark``, NAME=value;
    ``lock``: the descriptor of its lock. Raises OSError where no process can be made."""
    theirs, ours = os.pipe()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.set_inheritable(lock, True)
    try:
        argv = ["sh", "-c", _WAIT, "sh", sys.executable, "-m", __name__, str(path), mark, str(lock)]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_ROOT)}
        pid = processes.spawn(argv, environment, Path(os.devnull), (theirs, nowhere))
        guard = processes.identify(pid)
    finally:
        os.set_inheritable(lock, False)
        os.close(theirs)
        os.close(nowhere)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            os.write(ours, b"go\n")
        os.close(ours)
        if guard is not None:
            processes.gone(guard)


def main(path: Path, mark: str) -> None:
    """What is left of a lab whose maker has ended: nothing."""
    import shutil

    processes.end_marked(mark)
    shutil.rmtree(path, ignore_errors=True)
    path.with_name(f".{path.name}.lock").unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
