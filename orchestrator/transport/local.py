"""This machine as a host: the five verbs over child processes, with no SSH between.

What a command sees is kept as close to a login over SSH as it can be: it starts in the home
directory, in a session of its own, and a program that is not there is exit 127, not an exception.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.errors import LinkTimeout, RemoteFailed
from orchestrator.model.address import Address
from orchestrator.transport.link import Completed

CHUNK = 64 * 1024
STDERR_KEPT = 64 * 1024
#: a command that could not be started, as a shell reports it
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class LocalLink:
    """A `Link` to this machine. Holds nothing open, so it cannot be lost. ``before``: words before every command's, such as
    `env` with what it is not to see."""

    def __init__(self, address: Address, before: Sequence[str] = ()) -> None:
        self._host = address.name
        self._before = tuple(before)

    @property
    def host(self) -> str:
        return self._host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        try:
            child = _start([*self._before, *argv], subprocess.PIPE if stdin else subprocess.DEVNULL)
        except OSError as e:
            return _not_started(argv, e)
        with child:
            try:
                out, err = child.communicate(stdin or None, timeout=timeout_s)
            except subprocess.TimeoutExpired as e:
                raise LinkTimeout(self._host, f"`{argv[0]}` did not end within {timeout_s:g} s") from e
            finally:
                _end(child)
        return Completed(child.returncode, out, err)

    @contextlib.contextmanager
    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", idle_s: float = 60.0
    ) -> Iterator[LocalStreaming | _NotStarted]:
        try:
            child = _start([*self._before, *argv], subprocess.PIPE if stdin else subprocess.DEVNULL)
        except OSError as e:
            yield _NotStarted(_not_started(argv, e))
            return
        streaming = LocalStreaming(self._host, child, stdin, idle_s)
        try:
            yield streaming
        finally:
            streaming.close()

    def put(self, source: Path, target: str, *, mode: int = 0o644, timeout_s: float = 600.0) -> None:
        self._copy(source, Path.home() / target, mode, timeout_s)

    def get(self, source: str, target: Path, *, timeout_s: float = 600.0) -> None:
        self._copy(Path.home() / source, target, 0o644, timeout_s)

    def close(self) -> None:
        pass

    def _copy(self, source: Path, target: Path, mode: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with source.open("rb") as reader, part.open("xb") as writer:
                while piece := reader.read(1 << 20):
                    writer.write(piece)
                    if time.monotonic() > deadline:
                        raise LinkTimeout(self._host, f"copying {source} took longer than {timeout_s:g} s")
                writer.flush()
                os.fsync(writer.fileno())
            part.chmod(mode)
            part.replace(target)
        except OSError as e:
            raise RemoteFailed(self._host, f"cannot copy {source} to {target}: {e.strerror or e}") from e
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


class LocalStreaming:
    """A child process whose output is read as it comes."""

    def __init__(self, host: str, child: subprocess.Popen[bytes], stdin: bytes, idle_s: float) -> None:
        self._host = host
        self._child = child
        self._idle_s = idle_s
        self._stderr = bytearray()
        self._threads = [threading.Thread(target=self._drain_stderr, daemon=True)]
        if stdin:
            self._threads.append(threading.Thread(target=self._feed, args=(stdin,), daemon=True))
        for thread in self._threads:
            thread.start()

    def chunks(self) -> Iterator[bytes]:
        assert self._child.stdout is not None
        fd = self._child.stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            if not poll.poll(self._idle_s * 1000):
                raise LinkTimeout(self._host, f"nothing came for {self._idle_s:g} s")
            piece = os.read(fd, CHUNK)
            if not piece:
                return
            yield piece

    def exit(self) -> int:
        try:
            return self._child.wait(timeout=self._idle_s)
        except subprocess.TimeoutExpired as e:
            raise LinkTimeout(self._host, f"the command did not end within {self._idle_s:g} s") from e

    def stderr(self) -> bytes:
        if self._child.poll() is not None:
            self._threads[0].join(timeout=1.0)  # what is still in the pipe
        return bytes(self._stderr)

    def close(self) -> None:
        _end(self._child)
        for thread in self._threads:
            thread.join(timeout=5.0)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _feed(self, stdin: bytes) -> None:
        assert self._child.stdin is not None
        # a command that does not read its input is free not to
        with contextlib.suppress(OSError):
            self._child.stdin.write(stdin)
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def _drain_stderr(self) -> None:
        assert self._child.stderr is not None
        fd = self._child.stderr.fileno()
        with contextlib.suppress(OSError):
            while piece := os.read(fd, CHUNK):
                self._stderr += piece
                del self._stderr[:-STDERR_KEPT]


class _NotStarted:
    """A command that could not be started, as a shell on the other end would have reported it."""

    def __init__(self, completed: Completed) -> None:
        self._completed = completed

    def chunks(self) -> Iterator[bytes]:
        return iter(())

    def exit(self) -> int:
        return self._completed.exit

    def stderr(self) -> bytes:
        return self._completed.stderr


def _start(argv: Sequence[str], stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(argv),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path.home(),
        start_new_session=True,
        bufsize=0,
    )


def _not_started(argv: Sequence[str], error: OSError) -> Completed:
    status = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    reason = "not found" if status == _NOT_FOUND else error.strerror
    return Completed(status, b"", f"{shutil.which(argv[0]) or argv[0]}: {reason}\n".encode())


def _end(child: subprocess.Popen[bytes]) -> None:
    """What is left of the command's process group; a detached process has left it on its own."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
