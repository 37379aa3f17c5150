"""Every cell of every job on every host, each with its place, its seed and its length."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from agents.wire import Facts
from orchestrator.errors import InputError
from orchestrator.model.cluster import cluster_plan
from orchestrator.model.expression import is_template
from orchestrator.model.facts import names_of
from orchestrator.model.inventory import Inventory
from orchestrator.model.plan import PLAN_SCHEMA, JobPlan, JudgeSpec, Launches, LeasePlan, Plan, StepPlan
from orchestrator.model.playbook import Job, Playbook
from orchestrator.model.race import BUDGET, WORKLOAD
from orchestrator.model.units import duration
from orchestrator.planning import estimate
from orchestrator.planning.expand import Cell, cells, depends_on_host
from orchestrator.planning.place import Seating, Topology, place, topology, topology_key
from orchestrator.planning.race import Scenarios
from orchestrator.planning.select import candidates, holds, matching, of_job

#: Room on top of a launch's own length before it counts as hanging.
MARGIN_S = 60.0
MARGIN_SHARE = 0.5
#: Wall clock of a launch that ends by itself, where the job sets no limit.
UNTOLD_WALL_S = 3600.0
#: Most launches where `until` is given and `max` is not.
DEFAULT_MAX = 20


def make_plan(
    playbook: Playbook,
    inventory: Inventory,
    facts: Mapping[str, Facts],
    unreachable: Mapping[str, str],
    *,
    limit: str | None = None,
    scenarios: Scenarios | None = None,
) -> Plan:
    """``unreachable``: host → why it has no facts; its cells are planned as lost. ``scenarios``: of the explorer by
    subject, None where it cannot be built. Raises InputError where no host is left, `where` cannot be answered, or
    a budget is too small."""
    asked = candidates(playbook, inventory, limit)
    facts = _tuned(playbook, facts)
    known = _known(playbook, inventory, {h: facts[h] for h in asked if h in facts})
    hosts = matching(playbook, asked, known)
    planner = _Planner(playbook, facts, unreachable, known, scenarios)
    jobs = in_order(playbook.jobs)
    steps = [s for job in jobs for s in planner.steps(job, of_job(job, hosts, inventory))]
    if not steps:
        raise InputError("jobs", "nothing is left to run", "look at hosts, --limit and matrix.exclude")
    return Plan(
        schema=PLAN_SCHEMA,
        name=playbook.name,
        seed=playbook.seed,
        hosts=hosts,
        variants=playbook.variants,
        jobs=[_job_plan(j) for j in jobs],
        exports=list(playbook.exports),
        estimate_s=estimate.at_least_s(jobs, steps),
        estimate_bytes=estimate.folder_bytes(jobs, steps),
        steps=steps,
        lease=_lease(playbook),
        tune=dict(playbook.tune),
        cluster=cluster_plan(inventory.cluster, playbook.cluster),
    )


def plan_late(
    plan: Plan,
    names: Collection[str],
    playbook: Playbook,
    inventory: Inventory,
    facts: Mapping[str, Facts],
    *,
    scenarios: Scenarios | None = None,
) -> Plan:
    """``plan``, with the cells of the jobs ``names`` on hosts that could not be planned for as they would have been planned with these
    ``facts``; all other steps stay. ``playbook`` and ``inventory`` are those of the plan. Raises InputError where `where` cannot be answered."""
    late = {s.host for s in plan.steps if s.lost and s.host in facts}
    facts = _tuned(playbook, {h: facts[h] for h in late})
    known = _known(playbook, inventory, facts)
    apart = [h for h in plan.hosts if h in late and not holds(playbook, h, known[h])]
    planner = _Planner(playbook, facts, {}, known, scenarios)
    jobs = {j.name: j for j in in_order(playbook.jobs)}
    steps: list[StepPlan] = []
    done: set[tuple[str, str]] = set()
    for step in plan.steps:
        if not step.lost or step.host not in late or step.job not in names:
            steps.append(step)
        elif step.host in apart:
            steps.append(replace(step, lost="", skip="`where` does not hold on it"))
        elif (step.job, step.host) not in done:
            done.add((step.job, step.host))
            steps += planner.steps(jobs[step.job], [step.host])
    every = list(jobs.values())
    return replace(
        plan,
        steps=steps,
        estimate_s=estimate.at_least_s(every, steps),
        estimate_bytes=estimate.folder_bytes(every, steps),
    )


def _tuned(playbook: Playbook, facts: Mapping[str, Facts]) -> Mapping[str, Facts]:
    """Hosts as they will be when the playbook has set their kernels."""
    if playbook.tune.get("smt") != "off":
        return facts
    return {host: one_per_core(said) for host, said in facts.items()}


def _known(playbook: Playbook, inventory: Inventory, facts: Mapping[str, Facts]) -> dict[str, dict[str, Any]]:
    """What expressions may name, of each host with facts."""
    return {
        h: {**playbook.vars, **names_of(inventory.hosts[h], said, inventory.vars.get(h, {}))}
        for h, said in facts.items()
    }


def _lease(playbook: Playbook) -> LeasePlan | None:
    asked = playbook.lease
    if asked is None:
        return None
    return LeasePlan(asked.longest, asked.busy, asked.patience, asked.ttl, playbook.name)


def one_per_core(facts: Facts) -> Facts:
    """The host as it is once SMT is off: of each core its first CPU."""
    first: dict[tuple[int, int], int] = {}
    for c in facts.cpus:
        core = (c.package, c.core)
        first[core] = min(c.cpu, first.get(core, c.cpu))
    kept = set(first.values())
    return replace(facts, cpus=[replace(c, allowed=c.allowed and c.cpu in kept) for c in facts.cpus])


def in_order(jobs: list[Job]) -> list[Job]:
    """As in the file, but each job after those it needs."""
    by_name = {j.name: j for j in jobs}
    done: dict[str, Job] = {}
    waiting = list(jobs)
    while waiting:
        ready = next(j for j in waiting if all(n in done for n in j.needs if n in by_name))
        done[ready.name] = ready
        waiting.remove(ready)
    return list(done.values())


class _Planner:
    def __init__(
        self,
        playbook: Playbook,
        facts: Mapping[str, Facts],
        unreachable: Mapping[str, str],
        known: Mapping[str, Mapping[str, Any]],
        scenarios: Scenarios | None,
    ) -> None:
        self._scenarios = scenarios
        self._seed = playbook.seed
        self._facts = facts
        self._unreachable = unreachable
        self._known = known
        #: hosts of a fleet are alike: one topology and one seating for all that are
        self._topologies: dict[tuple[object, ...], Topology] = {}
        self._of_host: dict[str, int] = {}
        self._seatings: dict[tuple[int, int, str, str | None], Seating] = {}
        self._list: list[Topology] = []

    def steps(self, job: Job, hosts: list[str]) -> Iterator[StepPlan]:
        launches = _launches(job)
        seconds = _seconds(job)
        shared = None if depends_on_host(job) else list(cells(job, {}, self._scenarios))
        for host in hosts:
            names = self._known.get(host)
            for cell in shared if shared is not None else cells(job, names, self._scenarios):
                yield self._step(job, host, cell, seconds if cell.seconds is None else cell.seconds, launches)

    def _step(self, job: Job, host: str, cell: Cell, seconds: float, launches: Launches) -> StepPlan:
        id_ = f"{job.name}-{cell.number:04d}@{host}"
        lost = "" if host in self._facts else self._unreachable.get(host) or "its facts are not known"
        seating = Seating(mem=cell.mem or "local") if lost or cell.wrong else self._seat(host, cell)
        return StepPlan(
            id=id_,
            host=host,
            job=job.name,
            cell=cell.axes,
            workload=job.workload,
            settings=cell.settings,
            bench=cell.bench,
            variant=cell.variant,
            threads=cell.threads,
            placement=cell.placement,
            cpus=list(seating.cpus),
            mem=seating.mem,
            warmup_s=job.measure.warmup,
            seconds=seconds,
            interval_s=min(job.measure.interval, seconds) if seconds else job.measure.interval,
            seed=seed_of(self._seed, id_) if job.seed is None else job.seed,
            launches=launches,
            skip="" if lost else cell.wrong or seating.skip,
            lost=lost,
            shares_housekeeping=seating.shares_housekeeping,
        )

    def _seat(self, host: str, cell: Cell) -> Seating:
        number = self._of_host.get(host)
        if number is None:
            number = self._of_host[host] = self._number(self._facts[host])
        key = (number, cell.threads, cell.placement, cell.mem)
        if key not in self._seatings:
            self._seatings[key] = place(self._list[number], cell.threads, cell.placement, cell.mem)
        return self._seatings[key]

    def _number(self, facts: Facts) -> int:
        key = topology_key(facts)
        if key not in self._topologies:
            self._topologies[key] = topology(facts.cpus, facts.nodes)
            self._list.append(self._topologies[key])
        return self._list.index(self._topologies[key])


def seed_of(seed: int, step: str) -> int:
    """Of one step; below 2^63, so that it fits every table."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{step}".encode()).digest()[:8]) >> 1


def _seconds(job: Job) -> float:
    """A job that says only how long it goes on is one launch of that length."""
    if job.measure.seconds is not None:
        return job.measure.seconds
    told = [job.settings.get("seconds"), *job.matrix.get("seconds", ())] if job.tells_seconds else []
    return max((float(t) for t in told if isinstance(t, int | float)), default=job.soak_s or 0.0)


def _launches(job: Job) -> Launches:
    asked = job.launches
    if asked is None:
        repeated = (
            _seconds(job) > 0 and job.goes_on and not (job.soak_s is not None and job.measure.seconds is None)
        )
        return Launches(min=1, max=None if repeated else 1)
    if asked.until is None:
        return Launches(min=asked.min, max=asked.max or asked.min)
    most = asked.max or max(asked.min, DEFAULT_MAX)
    return Launches(asked.min, most, asked.until.metric, asked.until.ci)


def _job_plan(job: Job) -> JobPlan:
    one_launch = job.measure.seconds is None and job.launches is None
    return JobPlan(
        name=job.name,
        workload=job.workload,
        needs=list(job.needs),
        # the length of the one launch says it already; counted from its start it would cut the launch short
        stops=[s for s in job.stop if not (s.name == "duration" and one_launch)],
        judges=_judges(job),
        wall_s=_wall(job),
        memory_bytes=job.limits.memory,
        alone_s=job.limits.alone,
        journal_bytes=job.limits.journal,
        together=job.together,
        nemesis=list(job.nemesis),
    )


def _judges(job: Job) -> list[JudgeSpec]:
    """A race job is always judged as one; what is asked for under that name says how."""
    own = (
        []
        if job.workload != WORKLOAD or any(j.name == WORKLOAD for j in job.judge)
        else [JudgeSpec(WORKLOAD)]
    )
    return [*own, *job.judge]


def _wall(job: Job) -> float:
    if job.limits.wall is not None:
        return job.limits.wall
    budget = job.settings.get("budget", BUDGET)
    if job.workload == WORKLOAD and not is_template(budget):
        return duration(budget) * (1 + MARGIN_SHARE) + MARGIN_S
    length = job.measure.warmup + _seconds(job)
    return length * (1 + MARGIN_SHARE) + MARGIN_S if _seconds(job) else UNTOLD_WALL_S
