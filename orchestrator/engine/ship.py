"""Blobs onto a host, by content: SPOOL/blobs/<sha256>, mode 0755. What is there already is not sent.

One question tells what the host lacks, then each blob goes through one channel: packed where the host can unpack
it, its digest worked out there, renamed into place. What a lost link has left of one is gone on from; beside
the blobs it is called ``.DIGEST.MARK.TOKEN.part``: which blob, which bytes travelled, whose it is.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.engine import packed
from orchestrator.errors import LinkLost, LinkTimeout, RemoteFailed
from orchestrator.transport import Backoff, Completed, Link

_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_CHECK_S = 120.0
#: A blob may take so long, at the slowest that is still waited for; a host that stands still takes what is sent and says nothing.
_SEND_LEAST_S, _SEND_MOST_S, _SLOWEST_BYTES_PER_S = 60.0, 600.0, 5_000.0
#: A packed blob of fewer bytes is unpacked as it arrives, and sent again as a whole where it was cut: of what a larger one costs a host,
#: keeping what has arrived is a tenth.
_AT_ONCE = 16 << 20
#: times in a row that a link may be lost without a byte of progress
_TRIES = 3

# What it prints for us begins with `orch:`, for a start-up file of the shell may print too. Programs are started only where
# there is something for them to do: of what a small blob costs a host, they are the most.

# Whether the blob in file $2 has the digest $1. Of the two that can tell, openssl is four times as fast.
_IS = """
if command -v openssl >/dev/null
then is() { sum=$(openssl dgst -sha256 -r <"$2") && [ "${sum%% *}" = "$1" ]; }
else is() { sum=$(sha256sum <"$2") && [ "${sum%% *}" = "$1" ]; }
fi
"""

# Where the spool is, whether there is a zstd, the blobs that are not there or not what their name says, and the parts.
# Parts that a copy has left a day ago or longer are removed.
_ASK = (
    _IS
    + """
case $1 in
"~" | "~/"*)
  case $HOME in /*) ;; *) echo "the user has no home directory" >&2; exit 1 ;; esac
  spool=${HOME%/}${1#"~"} ;;
*) spool=$1 ;;
esac
shift
umask 077
[ -d "$spool/blobs" ] || mkdir -p "$spool/blobs" || exit 1
cd "$spool/blobs" || exit 1
echo "orch:spool $spool"
command -v zstd >/dev/null && echo orch:zstd
for part in .*.part; do
  [ -f "$part" ] && find . -maxdepth 1 -type f -name '.*' -mmin +1440 -exec rm -f {} + 2>/dev/null
  break
done
for digest do
  if [ -f "$digest" ] && is "$digest" "$digest"
  then [ -x "$digest" ] || chmod 755 "$digest"
  else
    echo "orch:lacks $digest"
    for part in ."$digest".*.part; do [ -f "$part" ] && echo "orch:part $(wc -c <"$part") $part"; done
  fi
done
exit 0
"""
)

# A part is begun as a copy of what an earlier one has, for whoever makes that one may still be at it. Only one that was cut, and
# has got further, stays: everything else that can go wrong would go wrong again. Whoever is first removes what others have of the same blob:
# they fail, see that it is there, and have not failed.
_TAKE = (
    _IS
    + """
folder=$1 digest=$2 size=$3 way=$4 part=$5 from=$6 old=$7
umask 077
cd "$folder" || exit 1
trap 'rm -f -- "$part" "$part.whole"' EXIT
fail() {
  [ -f "$digest" ] && is "$digest" "$digest" && exit 0
  arrived=$(wc -c 2>/dev/null <"$part") || arrived=$size
  if [ "$arrived" -lt "$size" ] && [ "$1" = short ]; then
    [ "$arrived" -le "$from" ] || { trap - EXIT; rm -f "$part.whole"; }
    echo "only a part of it arrived" >&2
  elif [ "$1" = short ]; then
    rm -f ."$digest".*.part
    echo "$2" >&2
  fi
  exit 1
}
whole=$part.whole
if [ "$way" = at-once ]; then
  said=$(zstd -dqc 2>&1 >"$whole") || fail short "$said"
else
  if [ "$from" -gt 0 ]; then head -c "$from" "$old" >"$part" || fail; else : >"$part" || fail; fi
  cat >>"$part" || fail
  case $way in
  zstd) said=$(zstd -dqc "$part" 2>&1 >"$whole") || fail short "$said" ;;
  *) whole=$part ;;
  esac
fi
is "$digest" "$whole" || fail short "digest differs after the copy"
chmod 755 "$whole" && mv -f "$whole" "$digest" || fail
trap - EXIT
for part in ."$digest".*; do
  [ ! -e "$part" ] || rm -f ."$digest".*
  break
done
"""
)


@dataclass(frozen=True)
class Shipped:
    """A host that has the blobs: its spool, absolute, and the bytes that travelled, 0 where all was there."""

    spool: str
    bytes_sent: int


@dataclass(frozen=True)
class _Told:
    """What a host said to `_ASK`."""

    spool: str
    can_unpack: bool
    lacking: list[str]
    #: name of a part → bytes
    parts: dict[str, int] = field(default_factory=dict)

    def furthest(self, stem: str) -> tuple[str, int]:
        """The largest part of those whose names begin with a dot and ``stem``, and its bytes; "" and 0 where there is none."""
        found = [part for part in self.parts.items() if part[0].startswith(f".{stem}.")]
        return max(found, key=lambda part: part[1], default=("", 0))


def blob_path(spool: str, digest: str) -> str:
    """Where a blob lies on the host; ``spool`` as `ship` gave it."""
    return f"{spool}/blobs/{digest}"


def ship(link: Link, blobs: Mapping[str, Path], spool: str, *, pack: bool = True) -> Shipped:
    """Send what the host lacks of ``blobs`` (SHA-256 → file here). A leading ``~`` of ``spool`` is the home directory there.
    Where ``link`` opens again by itself, a lost copy goes on from where it was. ``pack``: compress on the way.

    Raises `LinkError`; RemoteFailed where the host cannot take them (disk full, no rights)."""
    for digest in blobs:
        if not _DIGEST.match(digest):
            raise ValueError(f"not a SHA-256: {digest!r}")
    if spool.startswith("~") and spool != "~" and not spool.startswith("~/"):
        raise RemoteFailed(link.host, f"spool {spool!r}: only ~/ is understood", "give an absolute path")
    backoff = Backoff(tries=_TRIES)
    sent = lost = 0
    before = (-len(blobs) - 1, 0)
    while True:
        try:
            told = _ask(link, spool, list(blobs))
            there = (-len(told.lacking), sum(told.furthest(digest)[1] for digest in told.lacking))
            if there > before:
                before, lost = there, 0
            for digest in told.lacking:
                sent += _send(link, told, digest, blobs[digest], pack=pack)
            return Shipped(told.spool, sent)
        except (LinkLost, LinkTimeout):
            lost += 1
            if lost >= backoff.tries:
                raise
        backoff.wait(lost)


def _ask(link: Link, spool: str, digests: list[str]) -> _Told:
    argv = ["sh", "-c", _ASK, "ask", spool, *digests]
    lines = _lines(link, link.run(argv, timeout_s=_CHECK_S), f"make {spool}/blobs")
    folder = next((line.removeprefix("spool ") for line in lines if line.startswith("spool ")), "")
    if not folder:
        raise RemoteFailed(link.host, "its shell does not say where the spool is", "is it a shell?")
    lacking = {line.removeprefix("lacks ") for line in lines if line.startswith("lacks ")}
    parts = [line.split(" ", 2) for line in lines if line.startswith("part ")]
    return _Told(
        spool=folder,
        can_unpack="zstd" in lines,
        lacking=[digest for digest in digests if digest in lacking],
        parts={name: int(size) for _, size, name in parts if size.isdigit()},
    )


def _send(link: Link, told: _Told, digest: str, source: Path, *, pack: bool) -> int:
    """The bytes that travelled."""
    way = "zstd" if pack and told.can_unpack else "plain"
    try:
        travelling = (packed.packed if way == "zstd" else packed.plain)(digest, source)
    except OSError as e:
        raise RemoteFailed(link.host, f"cannot read {source}: {e.strerror or e}") from e
    stem = f"{digest}.{packed.mark(travelling)}"
    old, begun = told.furthest(stem)
    begun = min(begun, len(travelling))
    if way == "zstd" and not begun and len(travelling) < _AT_ONCE:
        way = "at-once"
    part = f".{stem}.{secrets.token_hex(4)}.part"
    about = [digest, str(len(travelling)), way, part, str(begun), old]
    argv = ["sh", "-c", _TAKE, "take", f"{told.spool}/blobs", *about]
    rest = travelling[begun:]
    _lines(link, link.run(argv, stdin=rest, timeout_s=_limit_s(len(rest))), f"keep {source.name}")
    return len(rest)


def _limit_s(size: int) -> float:
    return min(_SEND_LEAST_S + size / _SLOWEST_BYTES_PER_S, _SEND_MOST_S)


def _lines(link: Link, done: Completed, what: str) -> list[str]:
    """The lines that a script of ours printed. Raises RemoteFailed with the host's own words."""
    if done.exit != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        words = said[-1] if said else f"exit {done.exit}"
        hint = (
            "free some space there, or set `spool:`"
            if "No space left" in done.stderr.decode(errors="replace")
            else ""
        )
        raise RemoteFailed(link.host, f"cannot {what}: {words}", hint)
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line.removeprefix("orch:") for line in lines if line.startswith("orch:")]
