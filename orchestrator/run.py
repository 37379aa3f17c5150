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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.analysis import SPREADING
from orchestrator.analysis.spreading import Spread
from orchestrator.bundle.build import default_source
from orchestrator.engine.driver import DriverSeats
from orchestrator.engine.leases import Leases
from orchestrator.engine.names import benches_of, known_names
from orchestrator.engine.nemesis import Nemesis
from orchestrator.engine.nodes import head_address, joined
from orchestrator.engine.prepare import build, prepare
from orchestrator.engine.reboot import Reboots
from orchestrator.engine.session import Request, RunObserver, Session
from orchestrator.engine.survey import remarks, survey
from orchestrator.engine.unit import Unit
from orchestrator.engine.watch import Watch
from orchestrator.fleet.cluster import check_ports
from orchestrator.model.inventory import written
from orchestrator.model.reading import read
from orchestrator.planning.plan import make_plan
from orchestrator.planning.select import candidates
from orchestrator.report.junit import junit_xml
from orchestrator.results.export import to_csv, to_json
from orchestrator.results.folder import RunFolder
from orchestrator.results.rebuild import Rebuilt, rebuild, statuses
from orchestrator.transport import Connections, Opener, open_link

if TYPE_CHECKING:
    from agents.wire import Facts
    from orchestrator.model.inventory import Inventory
    from orchestrator.model.plan import Plan
    from orchestrator.model.playbook import Playbook


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
    for left in built.bundle.left_out if built.bundle else ():
        observer.stage(f"{left.told}; it is left out")
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
    session = Session(folder, inventory.hosts, found, built, request, observer, interrupted, opener)
    _describe(session, plan, playbook, inventory)
    # last: where there is a plan there is all that resume needs
    folder.write("plan.json", plan.to_json())
    observer.stage(f"run {folder.id}; from another terminal: orch watch {folder.id}")
    with folder.held(), log_to(folder):
        begin(session, plan)
        observer.planned(plan, folder.id)
        return carry_out(session, plan, plan)


def carry_out(session: Session, plan: Plan, todo: Plan) -> Ran:
    """``todo``: the plan with the steps that are still to be made, all of them or what an earlier session left. The caller holds
    the folder."""
    folder, request = session.folder, session.request
    # shipped while Ray starts, computed while it ends
    head = head_address(session.hosts[h] for h in plan.hosts)
    with DriverSeats(plan.hosts, folder.path / "logs", head, plan.cluster) as seats:
        with _leases(session, todo) as leases:
            units = prepare(session, todo, leases.refused)
            say, opener = session.observer.stage, session.opener
            with joined(seats, units, request.forks, folder.note, say, plan.cluster, opener):
                over = _watched(session, plan, units, seats, leases)
        if not any(spec.name in SPREADING for job in plan.jobs for spec in job.judges):
            seats.let_go()
        folder.note("run_ended", {"interrupted": over})
        return Ran(folder, _compute(folder, plan, seats.spread))


def _watched(session: Session, plan: Plan, units: Sequence[Unit], seats: DriverSeats, leases: Leases) -> bool:
    """Whether it was interrupted."""
    folder, observer = session.folder, session.observer
    reboots = Reboots(session.hosts, folder.note, observer.stage)
    try:
        return Watch(
            folder,
            plan,
            units,
            seats,
            observer,
            session.interrupted,
            statuses,
            leases.lost,
            Nemesis(session.opener),
            reboots.gone,
        ).run()
    finally:
        reboots.close()


def _leases(session: Session, plan: Plan) -> Leases:
    """Of the hosts that have something to do."""
    busy = {s.host for s in plan.steps if not s.skip and not s.lost}
    return Leases(
        [session.hosts[h] for h in plan.hosts if h in busy],
        plan.lease,
        plan.tune,
        run=session.folder.id,
        agent=session.built.agent,
        forks=session.request.forks,
        note=session.folder.note,
        say=session.observer.stage,
        interrupted=session.interrupted,
        opener=session.opener,
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


def _describe(session: Session, plan: Plan, playbook: Playbook, inventory: Inventory) -> None:
    """What the run was asked and what it found, beside the plan: all that hosts are planned from which answer only later."""
    import yaml

    folder = session.folder
    folder.write("playbook.yml", resolved(playbook))
    late = [h for h in plan.hosts if h not in session.found.facts]
    hosts = {h: written(session.hosts[h]) for h in plan.hosts}
    for host in late:
        if host in inventory.vars:
            hosts[host]["vars"] = dict(inventory.vars[host])
    folder.write("inventory.yml", yaml.safe_dump({"hosts": hosts}, sort_keys=False))
    keep_facts(folder, {h: session.found.facts[h] for h in plan.hosts if h not in late})
    if session.built.bundle is not None:
        folder.write("bundle.json", session.built.bundle.to_json())


def resolved(playbook: Playbook) -> str:
    """What reads back as the same playbook, whatever the environment says then."""
    import yaml

    said = playbook.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(said, sort_keys=False)


def keep_facts(folder: RunFolder, facts: Mapping[str, Facts]) -> None:
    for host, said in facts.items():
        text = json.dumps(asdict(said), indent=1, sort_keys=True)
        folder.write(str(folder.facts(host).relative_to(folder.path)), text + "\n")


def begin(session: Session, plan: Plan) -> None:
    """From here on what the controller says of a step, a host or a launch replaces what it said before."""
    folder, built = session.folder, session.built
    commit, dirty = _git(Path(built.bundle.source) if built.bundle and built.bundle.source else None)
    folder.note(
        "run_started",
        {
            "run": folder.id,
            "name": plan.name,
            "seed": plan.seed,
            "argv": list(session.request.argv),
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
