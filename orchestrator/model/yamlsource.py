"""YAML with line numbers: a file becomes plain values and, for every path in them, the line it stands on.

Scalars follow YAML 1.2's core schema: only ``true`` and ``false`` are truth values (``off`` is a text),
``1:30`` and dates are texts. Anchors and ``<<`` merges work; a key given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.errors import InputError

YamlPath = tuple[str | int, ...]

#: Bounds, far above any real file. Nesting is bounded because the C parser recurses on the C stack.
MAX_BYTES = 16 * 1024 * 1024
MAX_NESTING = 200
MAX_VALUES = 500_000

_Base: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE = re.compile(r":(\d+)(?:: |$)")
_TAG = "tag:yaml.org,2002:"


class _Loader(_Base):  # type: ignore[misc] # chosen at run time: libyaml where it is there
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the library's own way to declare it


def _core_schema() -> None:
    add = _Loader.add_implicit_resolver
    add(_TAG + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    add(_TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
    add(_TAG + "int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789"))
    add(
        _TAG + "float",
        re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
        list("-+0123456789."),
    )
    add(_TAG + "merge", re.compile(r"^<<$"), ["<"])


_core_schema()


@dataclass(frozen=True)
class Source:
    """What a file says. ``lines`` holds the line (from 1) of every path: a key's own line in a mapping,
    an item's in a list."""

    file: str
    value: Any
    lines: dict[YamlPath, int] = field(default_factory=dict)

    def line(self, path: YamlPath) -> int:
        """Of the path, or of the nearest thing above it that is in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: YamlPath, what: str, hint: str = "") -> InputError:
        name = dotted(path)
        where = f"{self.file}:{self.line(path)}"
        return InputError(f"{where}: {name}" if name else where, what, hint)


def in_order(errors: Iterable[InputError]) -> list[InputError]:
    """Each error once, by line; those without a line last."""
    unique = {str(e): e for e in errors}
    return sorted(unique.values(), key=_line)


def _line(error: InputError) -> tuple[int, int]:
    match = _LINE.search(error.where)
    return (0, int(match[1])) if match else (1, 0)


def dotted(path: Sequence[str | int]) -> str:
    """``("jobs", 0, "with")`` → ``jobs[0].with``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(file: str, text: str) -> tuple[Source, list[InputError]]:
    """The values of ``text``. A syntax error comes alone, with None as the value; keys that are there
    twice, unknown tags and the like come all together."""
    source = Source(file, None)
    try:
        _check_bounds(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as e:
        return source, [_syntax(file, e)]
    except (yaml.YAMLError, _TooMuch) as e:
        return source, [InputError(file, f"is not YAML: {e}")]
    if node is None:
        return source, [InputError(f"{file}:1", "is empty")]
    reader = _Reader(source)
    try:
        value = reader.build(node, ())
    except _TooMuch as e:
        return source, [InputError(file, str(e))]
    return Source(file, value, source.lines), reader.errors


class _TooMuch(ValueError):
    pass


def _check_bounds(text: str) -> None:
    if len(text) > MAX_BYTES:
        raise _TooMuch(f"larger than {MAX_BYTES >> 20} MiB")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        if depth > MAX_NESTING:
            raise _TooMuch(f"nested deeper than {MAX_NESTING}")
    for line in text.splitlines():
        # "- - - -": block lists within one another on one line
        if line.count("- ") > MAX_NESTING or len(line) - len(line.lstrip(" ")) > 4 * MAX_NESTING:
            raise _TooMuch(f"nested deeper than {MAX_NESTING}")


def _syntax(file: str, e: yaml.MarkedYAMLError) -> InputError:
    mark = e.problem_mark or e.context_mark
    where = f"{file}:{mark.line + 1}" if mark else file
    what = f"is not YAML: {e.problem or e.context}"
    hint = ""
    if "cannot start any token" in what:
        hint = "indent with spaces; quote a text that begins with a special character"
    elif "mapping values are not allowed" in what:
        hint = "quote a text that holds ': '"
    elif "unhashable" in what or "flow mapping" in what:
        hint = 'quote {{ … }}: "{{ name }}"'
    return InputError(where, what, hint)


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen = 0
        self._open: set[int] = set()
        #: above 0 the lines of the mapping that merges stand, those of what is merged give way
        self._merging = 0
        self.errors: list[InputError] = []

    def build(self, node: Any, path: YamlPath) -> Any:
        self._source.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._seen += 1
        if self._seen > MAX_VALUES:
            raise _TooMuch(f"more than {MAX_VALUES} values")
        if id(node) in self._open or len(path) > MAX_NESTING:
            self._complain(path, "an alias that contains itself", "")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(n, (*path, i)) for i, n in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Any, path: YamlPath) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merges = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merges.append(value)
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._complain(path, "a key must be a text", 'quote a text that begins with {{: "{{ name }}"')
                continue
            name = key.value
            here = (*path, name)
            if name in made:
                before = self._source.lines[here]
                self._source.lines[here] = key.start_mark.line + 1
                self._complain(here, "given twice", f"first on line {before}")
                self._source.lines[here] = before
                continue
            line = key.start_mark.line + 1
            self._source.lines[here] = self._source.lines.get(here, line) if self._merging else line
            made[name] = self.build(value, here)
        for merged in merges:
            self._merge(made, merged, path)
        return made

    def _merge(self, made: dict[str, Any], node: Any, path: YamlPath) -> None:
        """What stands in the mapping itself is stronger, then the first of a list of merges."""
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(one, yaml.MappingNode):
                self._complain((*path, "<<"), "what is merged must be a mapping", "")
                continue
            if id(one) in self._open:
                self._complain((*path, "<<"), "an alias that contains itself", "")
                continue
            self._merging += 1
            other = self.build(one, path)
            self._merging -= 1
            for name, value in other.items():
                made.setdefault(name, value)

    def _scalar(self, node: Any, path: YamlPath) -> Any:
        self._seen += 1
        if self._seen > MAX_VALUES:
            raise _TooMuch(f"more than {MAX_VALUES} values")
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "int":
                return self._int(text, path)
            case "float":
                value = float(text)
                if value in (float("inf"), float("-inf")):
                    self._complain(path, f"{text} is too large a number", "")
                return value
            case "bool":
                return text.lower() == "true"
            case "null":
                return None
        self._complain(path, f"the tag {node.tag.replace(_TAG, '!!')} is not known here", "leave it out")
        return text

    def _int(self, text: str, path: YamlPath) -> int:
        if len(text) > 40:
            self._complain(path, f"{text[:20]}… is too large a number", "")
            return 0
        try:
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        except ValueError:
            self._complain(path, f"{text!r} is not a number", "")
            return 0

    def _complain(self, path: YamlPath, what: str, hint: str) -> None:
        self.errors.append(self._source.error(path, what, hint))
