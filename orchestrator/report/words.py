"""Numbers, names and the verdict in words, the same in every form of the report."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import EXIT_HALTED
from orchestrator.model.finding import Finding, Verdict
from orchestrator.model.outcome import Status
from orchestrator.results.rebuild import Rebuilt

#: Which analysis speaks first for a verdict: what broke before what was counted.
_FIRST = ("contracts", "crashes", "exposure", "compare", "scaling", "stability", "restored", "accounting")
#: Longest sentence of a verdict, characters.
_SENTENCE = 240
#: What these say of a broken contract or a crash is told by another one already.
_SAME_AGAIN = ("accounting", "exposure")


def verdict_line(rebuilt: Rebuilt) -> tuple[str, str]:
    """(one word, the sentence after it). The denominator is always in it."""
    counted = _of(rebuilt.findings, "accounting")
    cells = counted.summary if counted else f"{len(rebuilt.outcomes)} planned cells"
    if rebuilt.verdict is Verdict.VIOLATED:
        word, text = "VIOLATED", f"{_speaks(rebuilt, Verdict.VIOLATED)}; {cells}"
    elif rebuilt.verdict is Verdict.UNKNOWN:
        lost = any(o.status in (Status.LOST, Status.INVALID) for o in rebuilt.outcomes)
        word = "UNKNOWN"
        text = cells if lost or rebuilt.interrupted else f"{_speaks(rebuilt, Verdict.UNKNOWN)}; {cells}"
    elif rebuilt.exit_code == EXIT_HALTED:
        why = next(o.reason for o in rebuilt.outcomes if o.status is Status.STOPPED)
        word, text = "STOPPED", f"{why}; {cells}; what ran holds"
    else:
        word, text = "HOLDS", "; ".join([cells, *_worth(rebuilt)])
    return ("INTERRUPTED", f"{word.lower()}: {text}") if rebuilt.interrupted else (word, text)


def _of(findings: Iterable[Finding], analysis: str) -> Finding | None:
    return next((f for f in findings if f.analysis == analysis), None)


def _speaks(rebuilt: Rebuilt, verdict: Verdict) -> str:
    found = [f for f in rebuilt.findings if f.verdict is verdict]
    order = {name: n for n, name in enumerate(_FIRST)}
    first = min(found, key=lambda f: order.get(f.analysis, len(order)))
    if first.analysis == "accounting":
        failed = next((o for o in rebuilt.outcomes if o.status is Status.FAILED), None)
        return (
            clip(f"{failed.step}: {failed.reason}", _SENTENCE) if failed else "not everything could be judged"
        )
    others = sum(f.analysis not in _SAME_AGAIN for f in found) - 1
    more = f" (and {others} more finding{'s' if others > 1 else ''})" if others > 0 else ""
    return f"{clip(first.summary, _SENTENCE)}{more}"


def _worth(rebuilt: Rebuilt) -> list[str]:
    """What a clean result supports, job by job where there are few."""
    clean = [f for f in rebuilt.findings if f.analysis == "contracts" and f.verdict is Verdict.HOLDS]
    if len(clean) == 1:
        return [clean[0].summary]
    return [f"{f.subject}: {f.summary}" for f in clean[:3]] + (["…"] if len(clean) > 3 else [])


def clean(text: str) -> str:
    """What a program printed may hold anything: nothing but what can be shown goes to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def clip(text: str, most: int) -> str:
    """The beginning, where it is long; the whole is in the tables."""
    return text if len(text) <= most else f"{text[: most - 2].rstrip()} …"


_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def quantity(value: float, unit: str) -> str:
    """``12345678, "1/s"`` → ``12.35 M/s``."""
    shown = unit.removeprefix("1") if unit.startswith("1/") else ("" if unit == "1" else unit)
    if unit.startswith("1") or not unit:
        for scale, prefix in _SCALES:
            if abs(value) >= scale:
                return f"{value / scale:.4g} {prefix}{shown}"
    return f"{value:.4g} {shown}".rstrip()


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
