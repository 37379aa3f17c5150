"""The whole run as one tuple of functions, each taking what the one before it gave. Usable without the CLI.

    read → build → survey → plan → ship → drive → compute

Once the plan is on disk only an unwritable run folder stops it; whatever happens to a host, a build or an
analysis becomes data.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agents.workloads import TABLE as WORKLOADS
from orchestrator import __version__
from orchestrator.analysis import SPREADING
from orchestrator.analysis.spreading import Spread
from orchestrator.bundle.agent import agent_zipapp, seat_archive
from orchestrator.bundle.build import build as build_bundle
from orchestrator.bundle.build import catalogue, default_source
from orchestrator.engine.clocks import with_clocks
from orchestrator.engine.driver import DriverSeats
from orchestrator.engine.leases import Leases
from orchestrator.engine.names import benches_of, known_names
from orchestrator.engine.nemesis import Nemesis
from orchestrator.engine.nodes import head_address, joined
from orchestrator.engine.reboot import Reboots
from orchestrator.engine.resume import made_again, progress_of
from orchestrator.engine.ship import Shipped, blob_path, ship
from orchestrator.engine.survey import Survey, remarks, survey
from orchestrator.engine.unit import Unit
from orchestrator.engine.watch import Observer, Watch
from orchestrator.errors import BuildError, LinkError, OrchError, RemoteFailed, SetupError
from orchestrator.fleet.cluster import check_ports
from orchestrator.model.inventory import written
from orchestrator.model.reading import read
from orchestrator.planning.plan import make_plan
from orchestrator.planning.select import candidates
from orchestrator.report.junit import junit_xml
from orchestrator.results.export import to_csv, to_json
from orchestrator.results.folder import RunFolder, read_journal
from orchestrator.results.rebuild import Rebuilt, rebuild, statuses
from orchestrator.transport import Connections, Opener, open_link, open_retrying

if TYPE_CHECKING:
    from orchestrator.bundle.manifest import Bench, Bundle, Variant
    from orchestrator.model.address import Address
    from orchestrator.model.inventory import Inventory
    from orchestrator.model.plan import JobPlan, Plan, StepPlan
    from orchestrator.model.playbook import Playbook


class RunObserver(Observer, Protocol):
    """What a run tells whoever watches it, besides what `engine.watch` tells."""

    def stage(self, text: str) -> None:
        """A part of the run begins."""

    def planned(self, plan: Plan, run: str) -> None:
        """The plan is on disk, in the folder of the run with this id."""


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    #: a file, or the text of a playbook made elsewhere (an ad-hoc workload)
    playbook: Path | str
    inventory: Path | None = None
    limit: str | None = None
    sets: Mapping[str, str] = field(default_factory=dict)
    runs: Path = Path("runs")
    argv: Sequence[str] = ()
    forks: int = 32
    #: seconds that a host may be out of reach before it is lost
    patience_s: float = 30.0
    #: the rest of an earlier run: what was cut short then is made again
    again: bool = False


@dataclass(frozen=True)
class Built:
    """``broken``: variant → why it cannot be had; its steps fail, the others go on."""

    agent: Path
    bundle: Bundle | None
    benches: list[Bench]
    broken: dict[str, str]


@dataclass(frozen=True)
class Ran:
    folder: RunFolder
    rebuilt: Rebuilt

    @property
    def exit_code(self) -> int:
        return self.rebuilt.exit_code


def execute(request: Request, observer: RunObserver, interrupted: Callable[[], bool]) -> Ran:
    """The whole run. Raises InputError before anything is touched, RunFolderError, and KeyboardInterrupt
    where ``interrupted`` before there was a plan."""
    with Connections(open_link) as ways:
        return _execute(request, observer, interrupted, ways.open)


def _execute(request: Request, observer: RunObserver, interrupted: Callable[[], bool], opener: Opener) -> Ran:
    source = default_source()
    observer.stage("building the native bundle, where it is not in the cache")
    names = known_names(benches_of(source), source)
    playbook, inventory = read(
        request.playbook,
        request.inventory,
        names,
        sets=request.sets,
        limit=request.limit,
    )
    built = build(source, playbook.variants)
    for reason in built.broken.values():
        observer.stage(reason)
    asked = [inventory.hosts[h] for h in candidates(playbook, inventory, request.limit)]
    observer.stage(f"asking {len(asked)} host(s) what they are")
    found = survey(asked, agent=built.agent, forks=request.forks, opener=opener)
    for text in remarks(found):
        observer.stage(text)
    plan = make_plan(
        playbook,
        inventory,
        found.facts,
        found.unreachable,
        limit=request.limit,
        scenarios=names.scenarios() if "explore" in playbook.variants else {},
    )
    if interrupted():
        raise KeyboardInterrupt
    check_ports(plan.cluster)
    folder = RunFolder.create(request.runs, plan.name)
    folder.write("plan.json", plan.to_json())
    observer.stage(f"run {folder.id}; from another terminal: orch watch {folder.id}")
    with folder.held(), log_to(folder):
        _describe(folder, plan, playbook, inventory, found, built, request)
        observer.planned(plan, folder.id)
        return carry_out(
            folder, plan, plan, inventory.hosts, found, built, request, observer, interrupted, opener
        )


def carry_out(
    folder: RunFolder,
    plan: Plan,
    todo: Plan,
    hosts: Mapping[str, Address],
    found: Survey,
    built: Built,
    request: Request,
    observer: RunObserver,
    interrupted: Callable[[], bool],
    opener: Opener,
) -> Ran:
    """``todo``: the plan with the steps that are still to be made, all of them or what an earlier session left. The caller holds
    the folder."""
    # shipped while Ray starts, computed while it ends
    head = head_address(hosts[h] for h in plan.hosts)
    with DriverSeats(plan.hosts, folder.path / "logs", head, plan.cluster) as seats:
        with _leases(folder, todo, hosts, built, request, observer, interrupted, opener) as leases:
            units = prepare(folder, todo, hosts, found, built, request, opener, leases.refused)
            with joined(seats, units, request.forks, folder.note, observer.stage, plan.cluster, opener):
                over = _watched(folder, plan, hosts, units, seats, observer, interrupted, leases, opener)
        if not any(spec.name in SPREADING for job in plan.jobs for spec in job.judges):
            seats.let_go()
        folder.note("run_ended", {"interrupted": over})
        return Ran(folder, _compute(folder, plan, seats.spread))


def _watched(
    folder: RunFolder,
    plan: Plan,
    hosts: Mapping[str, Address],
    units: Sequence[Unit],
    seats: DriverSeats,
    observer: RunObserver,
    interrupted: Callable[[], bool],
    leases: Leases,
    opener: Opener,
) -> bool:
    """Whether it was interrupted."""
    reboots = Reboots(hosts, folder.note, observer.stage)
    try:
        return Watch(
            folder,
            plan,
            units,
            seats,
            observer,
            interrupted,
            statuses,
            leases.lost,
            Nemesis(opener),
            reboots.gone,
        ).run()
    finally:
        reboots.close()


def _leases(
    folder: RunFolder,
    plan: Plan,
    addresses: Mapping[str, Address],
    built: Built,
    request: Request,
    observer: RunObserver,
    interrupted: Callable[[], bool],
    opener: Opener,
) -> Leases:
    """Of the hosts that have something to do."""
    busy = {s.host for s in plan.steps if not s.skip and not s.lost}
    return Leases(
        [addresses[h] for h in plan.hosts if h in busy],
        plan.lease,
        plan.tune,
        run=folder.id,
        agent=built.agent,
        forks=request.forks,
        note=folder.note,
        say=observer.stage,
        interrupted=interrupted,
        opener=opener,
    )


def _compute(folder: RunFolder, plan: Plan, spread: Spread) -> Rebuilt:
    rebuilt = rebuild(folder, spread=spread)
    if "csv" in plan.exports:
        for name, frame in rebuilt.tables.items():
            folder.write(f"csv/{name}.csv", to_csv(name, frame))
    if "json" in plan.exports:
        for name, frame in rebuilt.tables.items():
            folder.write(f"json/{name}.json", to_json(name, frame))
    if "junit" in plan.exports:
        folder.write("junit.xml", junit_xml(rebuilt))
    return rebuilt


def _describe(
    folder: RunFolder,
    plan: Plan,
    playbook: Playbook,
    inventory: Inventory,
    found: Survey,
    built: Built,
    request: Request,
) -> None:
    """What the run was asked and what it found, beside the plan."""
    import yaml

    resolved = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    folder.write("playbook.yml", yaml.safe_dump(resolved, sort_keys=False))
    hosts = {h: written(inventory.hosts[h]) for h in plan.hosts}
    folder.write("inventory.yml", yaml.safe_dump({"hosts": hosts}, sort_keys=False))
    for host in plan.hosts:
        if host in found.facts:
            text = json.dumps(asdict(found.facts[host]), indent=1, sort_keys=True)
            folder.write(str(folder.facts(host).relative_to(folder.path)), text + "\n")
    if built.bundle is not None:
        folder.write("bundle.json", built.bundle.to_json())
    begin_session(folder, plan, built, request)


def begin_session(folder: RunFolder, plan: Plan, built: Built, request: Request) -> None:
    """From here on what the controller says of a step, a host or a launch replaces what it said before."""
    commit, dirty = _git(Path(built.bundle.source) if built.bundle and built.bundle.source else None)
    folder.note(
        "run_started",
        {
            "run": folder.id,
            "name": plan.name,
            "seed": plan.seed,
            "argv": list(request.argv),
            "orch_version": __version__,
            "bundle": built.bundle.digest if built.bundle else "",
            "git_commit": commit,
            "git_dirty": dirty,
        },
    )


def _git(source: Path | None) -> tuple[str, bool]:
    """Commit of the source tree, and whether the tree differs from it. Empty outside a repository."""
    if source is None:
        return "", False
    try:
        commit = _git_says(source, "rev-parse", "HEAD")
        return commit, bool(_git_says(source, "status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return "", False


def _git_says(source: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(source), *words], check=True, capture_output=True, text=True, timeout=20
    )
    return done.stdout.strip()


@contextlib.contextmanager
def log_to(folder: RunFolder) -> Iterator[None]:
    """What goes wrong in the program itself goes to run.log, with its traceback."""
    handler = logging.FileHandler(folder.log, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours = logging.getLogger("orchestrator")
    ours.addHandler(handler)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        handler.close()


def build(source: Path, variants: Sequence[str]) -> Built:
    """Compile what is needed, or say for each variant why not. Raises InputError (no such tree)."""
    made: dict[str, Variant] = {}
    broken: dict[str, str] = {}
    bundle: Bundle | None = None
    for name in variants:
        try:
            bundle = build_bundle(source, [name])
        except (SetupError, BuildError) as e:
            broken[name] = f"variant {name} cannot be built: {e}"
            continue
        made[name] = bundle.variant(name)
    if bundle is not None:
        bundle = replace(bundle, variants=list(made.values()))
    return Built(agent_zipapp(), bundle, bundle.benches if bundle else catalogue(source), broken)


def ship_all(
    addresses: Sequence[Address],
    built: Built,
    variants: Mapping[str, set[str]],
    forks: int,
    opener: Opener = open_link,
) -> dict[str, Shipped | OrchError]:
    """Agent and the variants that each host needs, in parallel. ``variants``: host → names."""

    def one(address: Address) -> Shipped | OrchError:
        blobs = {_digest(built.agent): built.agent}
        if address.ray and seat is not None:
            blobs[_digest(seat)] = seat
        for name in sorted(variants.get(address.name, ())):
            if built.bundle is not None and name not in built.broken:
                variant = built.bundle.variant(name)
                blobs[variant.sha256] = Path(variant.file)
        link = open_retrying(address, opener=opener)
        try:
            return ship(link, blobs, address.spool, pack=not address.local)
        except LinkError as e:
            return e
        finally:
            link.close()

    if not addresses:
        return {}
    seat = seat_archive() if any(a.ray for a in addresses) else None
    with ThreadPoolExecutor(min(forks, len(addresses)), thread_name_prefix="ship") as pool:
        return {a.name: answer for a, answer in zip(addresses, pool.map(one, addresses), strict=True)}


def _digest(agent: Path) -> str:
    """The archive's name is its SHA-256 (`bundle.agent`)."""
    return agent.stem


def prepare(
    folder: RunFolder,
    plan: Plan,
    addresses: Mapping[str, Address],
    found: Survey,
    built: Built,
    request: Request,
    opener: Opener,
    refused: Mapping[str, tuple[str, str]] | None = None,
) -> list[Unit]:
    """``refused``: host → kind and reason, where it is not ours to use. Ship, and make the units of the hosts that are ready, in the order of the jobs. Every host gets its
    `host` note; every step that cannot even begin gets its word and its reason."""
    away = refused or {}
    planned = [s for s in plan.steps if not s.skip and not s.lost]
    runnable = [s for s in planned if s.host not in away]
    reasons: dict[str, tuple[str, str]] = {}
    variants: dict[str, set[str]] = {}
    for step in runnable:
        unmet = _unmet(step, built, found)
        if unmet is not None:
            reasons[step.id] = unmet
        needed = {step.variant} if WORKLOADS[step.workload].NEEDS_PROGRAM else set()
        variants.setdefault(step.host, set()).update(needed)
    ready = [addresses[h] for h in plan.hosts if h in variants]
    shipped = ship_all(ready, built, variants, request.forks, opener)
    for host in plan.hosts:
        _note_host(folder, host, found, shipped.get(host))
    for step in runnable:
        answer = shipped[step.host]
        if isinstance(answer, RemoteFailed):
            # a disk that is full says nothing about what was to run there
            reasons.setdefault(step.id, ("step_lost", answer.what))
        elif isinstance(answer, OrchError):
            reasons[step.id] = ("step_lost", str(answer))
    reasons.update({s.id: away[s.host] for s in planned if s.host in away})
    for step in planned:
        if step.id in reasons:
            kind, reason = reasons[step.id]
            folder.note(kind, {"host": step.host, "job": step.job, "step": step.id, "reason": reason})
    again = made_again(read_journal(folder.controller_journal, []))
    units = []
    for job in plan.jobs:
        for host in plan.hosts:
            steps = tuple(s for s in runnable if (s.job, s.host) == (job.name, host) and s.id not in reasons)
            here = shipped.get(host)
            if steps and isinstance(here, Shipped):
                units.append(
                    _unit(folder, plan, job, addresses[host], here.spool, steps, built, request, again)
                )
    return with_clocks(units, request.forks, folder.note, opener)


def _unmet(step: StepPlan, built: Built, found: Survey) -> tuple[str, str] | None:
    """Why the step's program cannot run on its host: the kind of its note, and the reason."""
    if not WORKLOADS[step.workload].NEEDS_PROGRAM:
        return None
    if step.variant in built.broken or built.bundle is None:
        return "step_failed", built.broken.get(step.variant, "there is no native bundle")
    facts = found.facts[step.host]
    unmet = built.bundle.variant(step.variant).unmet(facts.arch, facts.libc)
    return ("step_skipped", unmet) if unmet else None


def _note_host(folder: RunFolder, host: str, found: Survey, answer: Shipped | OrchError | None) -> None:
    why = found.unreachable.get(host, "")
    if isinstance(answer, LinkError):
        why = str(answer)
    data: dict[str, Any] = {"host": host, "status": "lost" if why else "ok", "reason": why}
    data["bytes_shipped"] = answer.bytes_sent if isinstance(answer, Shipped) else 0
    data["clock_offset_s"] = found.clock_offsets.get(host)
    folder.note("host", data)


def _unit(
    folder: RunFolder,
    plan: Plan,
    job: JobPlan,
    address: Address,
    spool: str,
    steps: tuple[StepPlan, ...],
    built: Built,
    request: Request,
    again: Mapping[str, set[int]],
) -> Unit:
    programs = {}
    if built.bundle is not None:
        programs = {v.name: blob_path(spool, v.sha256) for v in built.bundle.variants}
    return Unit(
        run=folder.id,
        seed=plan.seed,
        address=address,
        spool=spool,
        agent=blob_path(spool, _digest(built.agent)),
        programs=programs,
        job=job,
        steps=steps,
        progress={s.id: progress_of(folder, s.host, s.id, again.get(s.id, ())) for s in steps},
        patience_s=request.patience_s,
        again=request.again,
    )
