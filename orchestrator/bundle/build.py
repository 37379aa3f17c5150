"""Build the native bundle, once per source, compiler and variant; and pack what is shipped.

A variant is compiled from a snapshot of the source tree in a folder of its own, and moved into the
cache when it is complete. The second call finds it there and starts no compiler.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from agents.wire import PROTOCOL, WireError, decode
from orchestrator.bundle.agent import agent_zipapp
from orchestrator.bundle.cache import folder, locked, write_atomically
from orchestrator.bundle.compiler import Toolchain, compile_variant, find_toolchain
from orchestrator.bundle.digest import file_sha256, snapshot, source_digest
from orchestrator.bundle.elf import read_needs
from orchestrator.bundle.manifest import (
    VARIANTS,
    Bench,
    Blob,
    Bundle,
    LeftOut,
    Listing,
    Variant,
    parse_listing,
)
from orchestrator.bundle.scenarios import broken_scenarios
from orchestrator.errors import BuildError, InputError, SetupError

#: part of every key: raise it when what a cache entry holds changes
_CACHE_FORMAT = 1
_LISTING_S = 30

#: The release harness of an installed wheel (the install rule of native/CMakeLists.txt).
PREBUILT = Path(__file__).parent / "prebuilt" / "orch-harness"


def default_source() -> Path:
    """./native, else the one beside this package; where there is neither, ./native, and the harness
    of the installation stands in for it."""
    beside = Path(__file__).parents[2] / "native"
    return next((p for p in (Path("native"), beside) if is_source(p)), Path("native"))


def is_source(path: Path) -> bool:
    return (path / "CMakeLists.txt").is_file()


def build(source: Path, variants: Sequence[str] = ("release",)) -> Bundle:
    """The bundle of ``source`` with ``variants``, from the cache where it is there.

    Without a source tree: the harness of the installation. Raises InputError (unknown variant, no such
    tree), SetupError (no compiler), BuildError (does not compile).
    """
    for name in variants:
        _check_variant(name)
    if not is_source(source):
        return _installed(source, variants)
    try:
        tools = find_toolchain()
    except SetupError:
        # no compiler: the installed harness serves where it is of this very source
        if PREBUILT.is_file() and source_digest(source) == _ask(PREBUILT).build:
            return _installed(source, variants)
        raise
    digest = source_digest(source)
    made = [_variant(tools, source, digest, name) for name in dict.fromkeys(variants)]
    return Bundle(
        protocol=PROTOCOL,
        source=str(source.resolve()),
        digest=digest,
        compiler=tools.identity,
        variants=[variant for variant, _ in made],
        benches=made[0][1].benches if made else [],
    )


def kept(digest: str, name: str) -> Variant | None:
    """The variant of another source tree, where the cache still has it; of several compilers the latest."""
    found = []
    for at in folder("bundles").glob("*/listing.json"):
        entry = _cached(at.parent.name)
        if entry is not None and (entry[1].build, entry[1].variant) == (digest, name):
            found.append((at.stat().st_mtime, entry[0]))
    return max(found, key=lambda f: f[0])[1] if found else None


def catalogue(source: Path) -> list[Bench]:
    """The benches of ``source`` with their settings; names alone, from the files, where nothing can be
    built. Raises InputError where there is no source tree and no installed harness."""
    try:
        return build(source, ("release",)).benches
    except (SetupError, BuildError):
        names = sorted((source / "harness").glob("bench_*.c"))
        return [Bench(path.stem.removeprefix("bench_")) for path in names]


def blobs(bundle: Bundle) -> list[Blob]:
    """Everything that is shipped to a host: the agent first, then each variant."""
    agent = agent_zipapp()
    packed = Blob("agent", agent, file_sha256(agent), agent.stat().st_size)
    return [packed, *(Blob(v.name, Path(v.file), v.sha256, v.size) for v in bundle.variants)]


def verify(bundle: Bundle) -> list[str]:
    """What is wrong with the files of a bundle, one sentence each; empty where all is as it says."""
    wrong = []
    for v in bundle.variants:
        path = Path(v.file)
        if not path.is_file():
            wrong.append(f"{v.name}: {path} is not there")
            continue
        if file_sha256(path) != v.sha256:
            wrong.append(f"{v.name}: {path} has changed since it was built")
            continue
        try:
            listing = _ask(path)
        except BuildError as e:
            wrong.append(f"{v.name}: {e}")
            continue
        if (listing.build, listing.variant) != (bundle.digest, v.name):
            wrong.append(f"{v.name}: says it is {listing.variant} of {listing.build}, not of {bundle.digest}")
        if v.name == "release" and not read_needs(path).static:
            wrong.append(f"{v.name}: is not static")
    return wrong


def _check_variant(name: str) -> None:
    if name not in VARIANTS:
        near = difflib.get_close_matches(name, VARIANTS, n=1, cutoff=0.0)
        raise InputError("bundle", f"unknown variant '{name}'", f"nearest: {near[0]}")


def _installed(source: Path, variants: Sequence[str]) -> Bundle:
    if not PREBUILT.is_file():
        raise InputError(str(source), "there is no native source tree here", "CMakeLists.txt is missing")
    others = [v for v in variants if v != "release"]
    if others:
        raise InputError(
            str(source),
            f"variant {others[0]} needs the native source tree and a compiler; only the release harness is installed",
        )
    listing = _ask(PREBUILT)
    variant = _describe("release", PREBUILT)
    return Bundle(PROTOCOL, "", listing.build, listing.compiler, [variant], listing.benches)


def _variant(tools: Toolchain, source: Path, digest: str, name: str) -> tuple[Variant, Listing]:
    key = hashlib.sha256(
        json.dumps([_CACHE_FORMAT, digest, tools.compiler, tools.identity, name]).encode()
    ).hexdigest()[:24]
    found = _cached(key)
    if found:
        return found
    with locked(key):
        # whoever held the lock before us may have built it
        return _cached(key) or _build_into_cache(tools, source, digest, name, key)


def _build_into_cache(
    tools: Toolchain, source: Path, digest: str, name: str, key: str
) -> tuple[Variant, Listing]:
    bundles, logs = folder("bundles"), folder("build")
    with tempfile.TemporaryDirectory(prefix=f"{key}-", dir=logs) as work:
        if snapshot(source, Path(work) / "native") != digest:
            raise BuildError(str(source), "the source changed while it was read", "run it again")
        harness, left_out = _compiled(tools, Path(work), name, digest, logs / f"{key}.log")
        listing = _ask(harness)
        target = bundles / key
        target.mkdir(exist_ok=True)
        write_atomically(target / harness.name, harness.read_bytes(), 0o755)
    variant = replace(_describe(name, target / harness.name), left_out=left_out)
    write_atomically(target / "listing.json", json.dumps(asdict(listing)).encode())
    # last: where this is, the rest is
    relative = replace(variant, file=harness.name)
    write_atomically(target / "variant.json", json.dumps(asdict(relative)).encode())
    return variant, listing


def _compiled(tools: Toolchain, work: Path, name: str, digest: str, log: Path) -> tuple[Path, list[LeftOut]]:
    """Of the explorer without the scenarios that do not compile: the snapshot in ``work`` loses them. Raises BuildError."""
    left_out: list[LeftOut] = []
    while True:
        try:
            return compile_variant(tools, work / "native", work, name, digest, log), left_out
        except BuildError:
            wrong = broken_scenarios(tools, work / "native", work / "build") if name == "explore" else []
            if not wrong:
                raise
            for one in wrong:
                (work / "native" / "explore" / one.file).unlink()
            left_out += wrong


def _cached(key: str) -> tuple[Variant, Listing] | None:
    """None where it is not there, or not whole: then it is built anew."""
    at = folder("bundles") / key
    try:
        variant = decode(Variant, json.loads((at / "variant.json").read_text()))
        listing = decode(Listing, json.loads((at / "listing.json").read_text()))
        if file_sha256(at / variant.file) != variant.sha256:
            return None
    except (OSError, ValueError, WireError):
        return None
    return replace(variant, file=str(at / variant.file)), listing


def _describe(name: str, harness: Path) -> Variant:
    needs = read_needs(harness)
    return Variant(
        name=name,
        file=str(harness.resolve()),
        sha256=file_sha256(harness),
        size=harness.stat().st_size,
        machine=needs.machine,
        static=needs.static,
        glibc=needs.glibc,
    )


def _ask(harness: Path) -> Listing:
    try:
        done = subprocess.run(
            [str(harness), "list", "--json"], capture_output=True, text=True, timeout=_LISTING_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise BuildError(str(harness), f"cannot be run here: {e}") from e
    return parse_listing(str(harness), done.stdout)
