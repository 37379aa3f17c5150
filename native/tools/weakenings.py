"""What there is to weaken in the kernel, and the table of what became of it: docs/native/weakenings.md. weaken.py makes the table."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parent.parent
TABLE = NATIVE.parent / "docs" / "native" / "weakenings.md"
DOOR = re.compile(
    r"\batomic_(?:(load|store|exchange|cas|fetch_\w+?)_(acquire|release|acq_rel|seq_cst)(_u32|_u64)|fence_\w+)(?=\()"
)
FUNCTION = re.compile(r"^[A-Za-z_][\w\s*]*?\b(\w+)\(")
ATTRIBUTE = re.compile(r"__attribute__\(\((?:[^()]|\([^()]*\))*\)\)\s*")
#: One step down. A read-modify-write that is both ends loses one or the other.
WEAKER = {
    ("load", "acquire"): ["relaxed"],
    ("load", "seq_cst"): ["acquire"],
    ("store", "release"): ["relaxed"],
    ("store", "seq_cst"): ["release"],
    ("update", "acquire"): ["relaxed"],
    ("update", "release"): ["relaxed"],
    ("update", "acq_rel"): ["acquire", "release"],
    ("update", "seq_cst"): ["acq_rel"],
}
DROPPED = "dropped"
#: What a survey says where it has seen nothing, which is no reason.
NOTHING_SEEN, NOBODY_THERE, NOT_YET = IN_VAIN = (
    "nothing seen by",
    "no scenario comes to it",
    "not looked for yet",
)
HEADER = """# Weakened one at a time

Every ordered operation of the kernel one step weaker, and every fence dropped, one at a time: what `native/tools/weaken.py survey` made of
it. A row says where (source, function, door, and the how-manieth of its kind there) and what it becomes; then `killed`, with the scenario
and seed of the explorer that saw it; `equivalent`, with the proof that nothing that is promised differs; or `gap`: nothing here sees it, and why.

"""


@dataclass(frozen=True)
class Weakening:
    """One operation, and what it becomes."""

    file: str  # relative to native/
    start: int  # of the door's name in the text
    end: int
    where: str  # source, function, door, how-manieth
    door: str
    becomes: str  # an order, or DROPPED

    @property
    def key(self) -> str:
        return f"{self.where} → {self.becomes}"

    @property
    def weaker(self) -> str:
        return re.sub(r"_(acquire|release|acq_rel|seq_cst)(?=_u)", f"_{self.becomes}", self.door)


@dataclass
class Row:
    """What is known of a weakening."""

    verdict: str  # killed, equivalent or gap
    why: str

    @property
    def is_by_hand(self) -> bool:
        """Whether somebody has thought about it: a survey that sees nothing leaves it as it is."""
        return self.verdict != "killed" and self.why != "" and not self.why.startswith(IN_VAIN)


# --- what there is --------------------------------------------------------------------------------------


def sources() -> list[Path]:
    kernel = [
        path for path in sorted((NATIVE / "kernel").glob("*.[ch]")) if not path.name.startswith("test_")
    ]
    headers = [
        path for path in sorted((NATIVE / "include").glob("*.h")) if not path.name.startswith("atomics")
    ]
    return [path for path in kernel + headers if not path.name.startswith("atomics")]


def weakenings_of(path: Path) -> Iterator[Weakening]:
    """All of one source, in order."""
    function, at = "", 0
    seen: dict[tuple[str, str], int] = {}
    for line in path.read_text().splitlines(keepends=True):
        code = line.split("//", 1)[0]
        named = FUNCTION.match(ATTRIBUTE.sub("", code))
        if named and not code.rstrip().endswith(";"):
            function = named.group(1)
        for found in DOOR.finditer("" if code.lstrip().startswith("/*") else code):
            door = found.group(0)
            number = seen[function, door] = seen.get((function, door), 0) + 1
            where = f"{path.name} {function} {door.removeprefix('atomic_')} {number}"
            kind = found.group(1) if found.group(1) in {"load", "store"} else "update"
            becomes = WEAKER[kind, found.group(2)] if found.group(1) else [DROPPED]
            for order in becomes:
                name = str(path.relative_to(NATIVE))
                yield Weakening(name, at + found.start(), at + found.end(), where, door, order)
        at += len(line)


def all_weakenings() -> list[Weakening]:
    """Number 1 and up, by place."""
    return [weakening for path in sources() for weakening in weakenings_of(path)]


# --- the table ------------------------------------------------------------------------------------------


def read_table() -> dict[str, Row]:
    """Per weakening its row; of those alone that are in the table."""
    rows: dict[str, Row] = {}
    for line in TABLE.read_text().splitlines() if TABLE.exists() else []:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and "→" in line and cells[2] in {"killed", "equivalent", "gap"}:
            rows[f"{cells[0].strip('`')} → {cells[1].removeprefix('→ ')}"] = Row(cells[2], cells[3])
    return rows


def write_table(weakenings: list[Weakening], rows: dict[str, Row]) -> None:
    counts = {
        verdict: sum(row.verdict == verdict for row in rows.values())
        for verdict in ("killed", "equivalent", "gap")
    }
    lines = [
        HEADER
        + f"{len(weakenings)} in all: "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
        + ".\n"
    ]
    file = ""
    for weakening in weakenings:
        if weakening.file != file:
            file = weakening.file
            lines.append(
                f"\n## {file}\n\n| where | becomes | verdict | by whom, or why |\n|---|---|---|---|\n"
            )
        row = rows.get(weakening.key, Row("gap", NOT_YET))
        lines.append(f"| `{weakening.where}` | → {weakening.becomes} | {row.verdict} | {row.why} |\n")
    TABLE.write_text("".join(lines))


def scenario_names() -> set[str]:
    """As the scenarios' files have them."""
    texts = [path.read_text() for path in (NATIVE / "explore").glob("scenario_*.c")]
    return {name for text in texts for name in re.findall(r'\{"(\w+)",', text)}


def check_table(weakenings: list[Weakening]) -> int:
    """Says what the table lacks or has too much."""
    rows = read_table()
    keys = {weakening.key for weakening in weakenings}
    wrong = [f"no row for {key}" for key in sorted(keys - set(rows))]
    wrong += [f"there is nothing any more that is {key}" for key in sorted(set(rows) - keys)]
    wrong += [
        f"no reason for {key}"
        for key, row in sorted(rows.items())
        if not row.is_by_hand and (row.verdict != "killed" or not row.why)
    ]
    there = scenario_names()
    wrong += [
        f"there is no scenario any more that killed {key}"
        for key, row in sorted(rows.items())
        if row.verdict == "killed" and row.why and re.split(r"[ :]", row.why)[0] not in there
    ]
    for line in wrong:
        print(f"{TABLE.name}: {line}: run native/tools/weaken.py survey --again --write", file=sys.stderr)
    return 1 if wrong else 0
