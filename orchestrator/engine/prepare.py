"""From a plan to units that seats can be handed: what is built, what is shipped, and why a step cannot even begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.workloads import TABLE as WORKLOADS
from orchestrator.bundle.agent import agent_zipapp, seat_archive
from orchestrator.bundle.build import build as build_bundle
from orchestrator.bundle.build import catalogue
from orchestrator.engine.clocks import with_clocks
from orchestrator.engine.resume import made_again, progress_of
from orchestrator.engine.session import Built, Session
from orchestrator.engine.ship import Shipped, blob_path, ship
from orchestrator.engine.survey import Survey
from orchestrator.engine.unit import Unit
from orchestrator.errors import BuildError, LinkError, OrchError, RemoteFailed, SetupError
from orchestrator.results.folder import RunFolder, read_journal
from orchestrator.transport import open_retrying

if TYPE_CHECKING:
    from orchestrator.bundle.manifest import Bundle, Variant
    from orchestrator.model.address import Address
    from orchestrator.model.plan import JobPlan, Plan, StepPlan


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


def _ship_all(
    session: Session, addresses: Sequence[Address], variants: Mapping[str, set[str]]
) -> dict[str, Shipped | OrchError]:
    """Agent and the variants that each host needs, in parallel. ``variants``: host → names."""
    built = session.built

    def one(address: Address) -> Shipped | OrchError:
        blobs = {_digest(built.agent): built.agent}
        if address.ray and seat is not None:
            blobs[_digest(seat)] = seat
        for name in sorted(variants.get(address.name, ())):
            if built.bundle is not None and name not in built.broken:
                variant = built.bundle.variant(name)
                blobs[variant.sha256] = Path(variant.file)
        link = open_retrying(address, opener=session.opener)
        try:
            return ship(link, blobs, address.spool, pack=not address.local)
        except LinkError as e:
            return e
        finally:
            link.close()

    if not addresses:
        return {}
    seat = seat_archive() if any(a.ray for a in addresses) else None
    with ThreadPoolExecutor(min(session.request.forks, len(addresses)), thread_name_prefix="ship") as pool:
        return {a.name: answer for a, answer in zip(addresses, pool.map(one, addresses), strict=True)}


def _digest(agent: Path) -> str:
    """The archive's name is its SHA-256 (`bundle.agent`)."""
    return agent.stem


def prepare(session: Session, plan: Plan, away: Mapping[str, tuple[str, str]]) -> list[Unit]:
    """Ship, and make the units of the hosts that are ready, in the order of the jobs. Every host gets its `host` note; every step that
    cannot even begin gets its word and its reason. ``away``: host → kind and reason, where it is not ours to use."""
    folder = session.folder
    planned = [s for s in plan.steps if not s.skip and not s.lost]
    runnable = [s for s in planned if s.host not in away]
    reasons: dict[str, tuple[str, str]] = {}
    variants: dict[str, set[str]] = {}
    for step in runnable:
        unmet = _unmet(step, session.built, session.found)
        if unmet is not None:
            reasons[step.id] = unmet
        needed = {step.variant} if WORKLOADS[step.workload].NEEDS_PROGRAM else set()
        variants.setdefault(step.host, set()).update(needed)
    shipped = _ship_all(session, [session.hosts[h] for h in plan.hosts if h in variants], variants)
    for host in plan.hosts:
        _note_host(folder, host, session.found, shipped.get(host))
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
                units.append(_unit(session, plan.seed, job, session.hosts[host], here.spool, steps, again))
    return with_clocks(units, session.request.forks, folder.note, session.opener)


def _unmet(step: StepPlan, built: Built, found: Survey) -> tuple[str, str] | None:
    """Why the step's program cannot run on its host: the kind of its note, and the reason."""
    if not WORKLOADS[step.workload].NEEDS_PROGRAM:
        return None
    if step.variant in built.broken or built.bundle is None:
        return "step_failed", built.broken.get(step.variant, "there is no native bundle")
    left = next((one for one in built.bundle.variant(step.variant).left_out if one.file == step.bench), None)
    if left is not None:
        return "step_failed", left.told
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
    session: Session,
    seed: int,
    job: JobPlan,
    address: Address,
    spool: str,
    steps: tuple[StepPlan, ...],
    again: Mapping[str, set[int]],
) -> Unit:
    folder, built = session.folder, session.built
    programs = {}
    if built.bundle is not None:
        programs = {v.name: blob_path(spool, v.sha256) for v in built.bundle.variants}
    return Unit(
        run=folder.id,
        seed=seed,
        address=address,
        spool=spool,
        agent=blob_path(spool, _digest(built.agent)),
        programs=programs,
        job=job,
        steps=steps,
        progress={s.id: progress_of(folder, s.host, s.id, again.get(s.id, ())) for s in steps},
        clock_offset_s=session.found.clock_offsets.get(address.name, 0.0),
        patience_s=session.request.patience_s,
        again=session.request.again,
    )
