"""The agent's command line. Exit codes: 0 done · 2 bad order or usage · 3 no such launch · 4 the
supervisor is gone without `ended` · 5 this host cannot take it (disk full, spool not writable) ·
6 Python too old · 70 the agent itself failed.

    start  --spool S                                    order (JSON) on standard input; detaches
    follow --spool S --run R --step ID --launch N [--offset BYTES]
    status --spool S [--run R [--step ID --launch N]]
    stop   --spool S --run R --step ID --launch N [--wait SECONDS]
    facts  --spool S
    evidence --spool S --run R --step ID --launch N      of a launch whose supervisor is gone: why
    sweep  --spool S [--run R] [--older-than SECONDS] [--live]
    environment --spool S                               what to make it from (JSON) on standard input
    take    --spool S --id ID --who W --run R --what T --ttl SECONDS --for SECONDS [--place P]
    lease   --spool S [--place P]
    release --spool S [--id ID] [--place P]
    tune    --spool S --id ID --set NAME=VALUE[;NAME=VALUE…] [--place P] [--root DIR]
    restore --spool S [--id ID] [--place P] [--root DIR]
    join    --spool S                                   order (JSON) on standard input
    fit     --spool S --python P --ray V --version V    why that interpreter cannot join
    part    --spool S [--run R]
    vex     --spool S --what pinning|hotplug|clock --for SECONDS [--seed N] [--by SECONDS] [--run R --step ID --launch N]

All but `follow` answer with one line of JSON; errors are one line on standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Set

from agents.wire import PROTOCOL, Order, WireError, decode, dumps, encode

DONE, USAGE, NO_SUCH_LAUNCH, GONE, CANNOT, INTERNAL = 0, 2, 3, 4, 5, 70

#: An order is small; something else was piped in.
_LONGEST_ORDER = 4 << 20

_OPTIONS: Dict[str, Set[str]] = {
    "start": {"--spool"},
    "follow": {"--spool", "--run", "--step", "--launch", "--offset"},
    "status": {"--spool", "--run", "--step", "--launch"},
    "stop": {"--spool", "--run", "--step", "--launch", "--wait"},
    "evidence": {"--spool", "--run", "--step", "--launch"},
    "facts": {"--spool"},
    "environment": {"--spool"},
    "sweep": {"--spool", "--run", "--older-than", "--live"},
    "take": {"--spool", "--place", "--id", "--who", "--run", "--what", "--ttl", "--for"},
    "lease": {"--spool", "--place"},
    "release": {"--spool", "--place", "--id"},
    "tune": {"--spool", "--place", "--id", "--set", "--root"},
    "restore": {"--spool", "--place", "--id", "--root"},
    "join": {"--spool"},
    "fit": {"--spool", "--python", "--ray", "--version"},
    "part": {"--spool", "--run"},
    "vex": {"--spool", "--what", "--for", "--seed", "--by", "--run", "--step", "--launch"},
}
_FLAGS = {"--live"}


class _Failed(Exception):
    """Ends the command: exit code and one line."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


def main(argv: List[str]) -> int:
    try:
        return _run(argv)
    except _Failed as e:
        return _complain(e.code, str(e))
    except WireError as e:
        return _complain(USAGE, str(e))
    except BrokenPipeError:
        # nobody reads any more; Python would complain about it once again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return INTERNAL
    except KeyboardInterrupt:
        return 130


def _complain(code: int, what: str) -> int:
    sys.stderr.write("orch agent: %s\n" % " ".join(what.split()))
    return code


def _run(argv: List[str]) -> int:
    if not argv or argv[0] not in _OPTIONS:
        raise _Failed(USAGE, "expected one of: " + " ".join(sorted(_OPTIONS)))
    verb, options = argv[0], _options(argv[0], argv[1:])
    spool = Path(_need(options, "--spool")).expanduser().absolute()
    if verb == "start":
        return _start(spool)
    if verb == "facts":
        from agents.facts import collect

        return _answer(encode(collect(str(spool))))
    if verb == "sweep":
        from agents.sweep import KEEP_S, sweep

        older = _float(options, "--older-than", KEEP_S)
        return _answer(sweep(spool, _name(options, "--run"), older, "--live" in options))
    if verb == "environment":
        return _environment(spool)
    if verb in ("take", "lease", "release", "tune", "restore"):
        return _about_host(verb, spool, options)
    if verb in ("join", "fit", "part"):
        return _about_node(verb, spool, options)
    if verb == "vex":
        return _vex(spool, options)
    return _about_launch(verb, spool, options)


def _environment(spool: Path) -> int:
    from agents.environment import Refused, install

    try:
        wanted = json.loads(sys.stdin.buffer.read(_LONGEST_ORDER + 1).decode("utf-8"))
        return _answer(install(spool, wanted))
    except ValueError as e:
        raise _Failed(USAGE, "environment: not JSON: %s" % e) from e
    except Refused as e:
        raise _Failed(CANNOT, str(e)) from e
    except OSError as e:
        raise _Failed(CANNOT, "%s: %s" % (e.filename or spool, e.strerror or e)) from e


def _about_node(verb: str, spool: Path, options: Dict[str, str]) -> int:
    from agents import node

    try:
        if verb == "fit":
            python, ray, version = [_need(options, name) for name in ("--python", "--ray", "--version")]
            return _answer({"why": node.unfit(node.interpreter(spool, python), ray, version)})
        if verb == "part":
            return _answer(node.part(spool, _name(options, "--run")))
        order = decode(node.Order, _json(sys.stdin.buffer.read(_LONGEST_ORDER)), "order")
        return _answer(node.join(spool, order))
    except OSError as e:
        raise _Failed(CANNOT, "%s: %s" % (e.filename or spool, e.strerror or e)) from e


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as e:
        raise WireError("order: not JSON: %s" % e) from e


def _about_host(verb: str, spool: Path, options: Dict[str, str]) -> int:
    """Lease and settings. Whoever the host is, its place for them is one."""
    from agents import hold
    from agents.lease import Place, Record
    from agents.tune import Tuner

    place = Place(Path(options.get("--place") or hold.PLACE).expanduser().absolute())
    try:
        if verb == "take":
            wanted = Record(
                id=_need(options, "--id"),
                who=_need(options, "--who"),
                run=check_run(_need(options, "--run")),
                what=options.get("--what", ""),
                since=time.time(),
                boot="",
                ttl_s=_positive(options, "--ttl"),
                until=0.0,
                end=0.0,
                spool=str(spool),
            )
            return _answer(hold.take(place, wanted, _positive(options, "--for")))
        if verb == "lease":
            return _answer(hold.show(place))
        if verb == "release":
            return _answer(hold.release(place, spool, options.get("--id")))
        tuner = Tuner(place, options.get("--root", "/"))
        if verb == "restore":
            return _answer(tuner.restore(options.get("--id")))
        pairs = [p.partition("=") for p in _need(options, "--set").split(";")]
        return _answer(tuner.apply(_need(options, "--id"), {name: value for name, _, value in pairs}))
    except OSError as e:
        raise _Failed(CANNOT, "%s: %s" % (e.filename or place.folder, e.strerror or e)) from e


def _vex(spool: Path, options: Dict[str, str]) -> int:
    """A fault on purpose: {done, text}."""
    from agents import vex
    from agents.launch import Launch

    what, lasts_s, seed = _need(options, "--what"), _positive(options, "--for"), _int(options, "--seed", 0)
    one = None
    if "--launch" in options:
        number = _int(options, "--launch", None)
        one = Launch(spool, _need(options, "--run"), _need(options, "--step"), number)
    by_s = _positive(options, "--by") if what == "clock" else 0.0
    do = {"clock": lambda: vex.clock(by_s, lasts_s)}
    do["hotplug"] = lambda: vex.hotplug(one.measured_cpus() if one is not None else [], lasts_s, seed)
    if one is not None:
        do["pinning"] = lambda: vex.pinning(one, lasts_s, seed)
    if what not in do:
        raise _Failed(USAGE, "--what: hotplug, clock, or pinning of a launch, and not %r" % what)
    try:
        with vex.alone(spool, what):
            text = do[what]()
    except vex.NotDone as e:
        return _answer({"done": False, "text": str(e)})
    except OSError as e:
        raise _Failed(CANNOT, "%s was not put back: %s" % (what, e.strerror or e)) from e
    return _answer({"done": True, "text": text})


def check_run(name: str) -> str:
    from agents.launch import check_name

    return check_name(name, "--run")


def _positive(options: Dict[str, str], name: str) -> float:
    value = _float(options, name, 0.0)
    if not 0.0 < value < float("inf"):
        raise _Failed(USAGE, "%s: must be more than 0" % name)
    return value


def _about_launch(verb: str, spool: Path, options: Dict[str, str]) -> int:
    from agents import launch as launches

    if verb == "status" and not ("--step" in options and "--launch" in options):
        found = launches.launches(spool, _name(options, "--run"))
        return _answer({"launches": [one.describe() for one in found]})
    number = _int(options, "--launch", None)
    one = launches.Launch(spool, _need(options, "--run"), _need(options, "--step"), number)
    if one.state() == launches.MISSING:
        raise _Failed(NO_SUCH_LAUNCH, "no such launch under %s" % one.folder)
    if verb == "status":
        return _answer(one.describe())
    if verb == "evidence":
        from agents.evidence import of_lost, piece

        return _answer({"pieces": [piece(*found) for found in of_lost(one)]})
    if verb == "stop":
        from agents.sweep import stop

        return _answer({"state": stop(one, _float(options, "--wait", 5.0))})
    from agents.follow import follow

    offset = _int(options, "--offset", 0)
    code = follow(one, offset)
    if code != DONE:
        _complain(code, "%s: the supervisor is gone" % one.folder)
    return code


def _start(spool: Path) -> int:
    raw = sys.stdin.buffer.read(_LONGEST_ORDER + 1)
    order = read_order(raw)
    from agents.daemon import detach
    from agents.launch import Launch

    launch = Launch(spool, order.run, order.step, order.launch)
    try:
        if not launch.claim(raw):
            return _answer({"started": False, "state": launch.settle(5.0)})
    except OSError as e:
        raise _Failed(CANNOT, "%s: %s" % (launch.folder, e.strerror or e)) from e
    try:
        error = detach(launch, order)
    except OSError as e:
        launch.disclaim()
        raise _Failed(CANNOT, "no process can be started: %s" % (e.strerror or e)) from e
    if error:
        raise _Failed(CANNOT, error)
    return _answer({"started": True, "state": launch.state()})


def read_order(raw: bytes) -> Order:
    """Raises WireError with what is missing or wrong."""
    from agents.workloads import TABLE

    if len(raw) > _LONGEST_ORDER:
        raise WireError("order: more than %d bytes" % _LONGEST_ORDER)
    order = decode(Order, _json(raw), "order")
    if order.protocol != PROTOCOL:
        raise WireError("order.protocol: this agent speaks %d, not %d" % (PROTOCOL, order.protocol))
    if order.workload not in TABLE:
        known = ", ".join(sorted(TABLE))
        raise WireError("order.workload: unknown %r (known: %s)" % (order.workload, known))
    if not order.limits.wall_s > 0:
        raise WireError("order.limits.wall_s: must be more than 0")
    if order.limits.alone_s is not None and not order.limits.alone_s > 0:
        raise WireError("order.limits.alone_s: must be more than 0")
    if order.limits.output_bytes < 0 or order.limits.core_bytes < 0:
        raise WireError("order.limits: a number of bytes is negative")
    return order


def _refuse(text: str) -> NoReturn:
    raise ValueError("not a finite number: %s" % text)


def _answer(value: Dict[str, Any]) -> int:
    sys.stdout.write(dumps(value) + "\n")
    sys.stdout.flush()
    return DONE


# ---- options


def _options(verb: str, words: List[str]) -> Dict[str, str]:
    found: Dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word not in _OPTIONS[verb]:
            raise _Failed(USAGE, "%s takes %s, not %r" % (verb, " ".join(sorted(_OPTIONS[verb])), word))
        if word in _FLAGS:
            found[word] = ""
        elif rest:
            found[word] = rest.pop(0)
        else:
            raise _Failed(USAGE, "%s: a value is missing" % word)
    return found


def _need(options: Dict[str, str], name: str) -> str:
    if not options.get(name):
        raise _Failed(USAGE, "%s is missing" % name)
    return options[name]


def _name(options: Dict[str, str], name: str) -> Optional[str]:
    from agents.launch import check_name

    return check_name(options[name], name) if name in options else None


def _int(options: Dict[str, str], name: str, otherwise: Optional[int]) -> int:
    if name not in options and otherwise is not None:
        return otherwise
    text = _need(options, name)
    if not text.isdigit():
        raise _Failed(USAGE, "%s: expected a number, not %r" % (name, text))
    return int(text)


def _float(options: Dict[str, str], name: str, otherwise: float) -> float:
    try:
        return float(options.get(name, otherwise))
    except ValueError as e:
        raise _Failed(USAGE, "%s: expected a number, not %r" % (name, options[name])) from e
