"""Blobs onto a host, by content: SPOOL/blobs/<sha256>, mode 0755. What is there already is not sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import RemoteFailed
from orchestrator.transport import Completed, Link

_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_CHECK_S = 120.0

# Each prints one line that begins with `orch:`, for a start-up file of the shell may print too.
_HOME = 'echo "orch:$HOME"'

# Names the blobs that are not there, or not what their name says.
_MISSING = """
spool=$1; shift
umask 077
mkdir -p "$spool/blobs" || exit 1
cd "$spool/blobs" || exit 1
# what a copy that was cut has left a day ago or longer
find . -maxdepth 1 -type f -name '.*' -mmin +1440 -exec rm -f {} + 2>/dev/null
for digest do
  if [ -f "$digest" ] && [ "$(sha256sum <"$digest")" = "$digest  -" ]
  then chmod 755 "$digest"
  else echo "orch:$digest"
  fi
done
"""

# Takes a blob into place once its content is what it should be.
_KEEP = """
cd "$1/blobs" || exit 1
if [ "$(sha256sum <"$3")" = "$2  -" ]
then chmod 755 "$3" && mv -f "$3" "$2"
else rm -f "$3"; echo "digest differs after the copy" >&2; exit 1
fi
"""


def resolve_spool(link: Link, spool: str) -> str:
    """The absolute path of ``spool`` on the host: a leading ``~`` is its user's home directory."""
    if not spool.startswith("~"):
        return spool
    if spool != "~" and not spool.startswith("~/"):
        raise RemoteFailed(link.host, f"spool {spool!r}: only ~/ is understood", "give an absolute path")
    home = _told(link, link.run(["sh", "-c", _HOME], timeout_s=_CHECK_S), "look up its home directory")
    if not home or not home[0].startswith("/"):
        raise RemoteFailed(link.host, "the user has no home directory", "set `spool:` to an absolute path")
    return home[0].rstrip("/") + spool[1:]


def blob_path(spool: str, digest: str) -> str:
    """Where a blob lies on the host; ``spool`` as `resolve_spool` gave it."""
    return f"{spool}/blobs/{digest}"


def ship(link: Link, blobs: Mapping[str, Path], spool: str) -> int:
    """Send what the host lacks of ``blobs`` (SHA-256 → file here). Returns the bytes sent, 0 where all
    was there. Raises `LinkError`; RemoteFailed where the host cannot take them (disk full, no rights)."""
    for digest in blobs:
        if not _DIGEST.match(digest):
            raise ValueError(f"not a SHA-256: {digest!r}")
    if not blobs:
        return 0
    folder = resolve_spool(link, spool)
    sent = 0
    for digest in _missing(link, folder, list(blobs)):
        sent += _send(link, folder, digest, blobs[digest])
    return sent


def _missing(link: Link, folder: str, digests: list[str]) -> list[str]:
    argv = ["sh", "-c", _MISSING, "missing", folder, *digests]
    lacking = _told(link, link.run(argv, timeout_s=_CHECK_S), f"make {folder}/blobs")
    return [digest for digest in digests if digest in lacking]


def _send(link: Link, folder: str, digest: str, source: Path) -> int:
    arriving = f".{digest}.{secrets.token_hex(4)}"
    link.put(source, f"{folder}/blobs/{arriving}", mode=0o600)
    argv = ["sh", "-c", _KEEP, "keep", folder, digest, arriving]
    _told(link, link.run(argv, timeout_s=_CHECK_S), f"keep {source.name}")
    return source.stat().st_size


def _told(link: Link, done: Completed, what: str) -> list[str]:
    """The lines that a script of ours printed. Raises RemoteFailed with the host's own words."""
    if done.exit != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        words = said[-1] if said else f"exit {done.exit}"
        hint = "free some space there, or set `spool:`" if "No space left" in words else ""
        raise RemoteFailed(link.host, f"cannot {what}: {words}", hint)
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line.removeprefix("orch:") for line in lines if line.startswith("orch:")]
