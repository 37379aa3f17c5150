"""Expressions of a playbook, in ``where`` and between ``{{`` and ``}}``: values in, a value out.

Python's grammar, of which only what is in `_NODES` is let through: literals, names, comparison, ``in``,
``and or not``, arithmetic on numbers, ``x if c else y``, ``labels.rack``, ``list[0]``, ``min()``, ``max()``.
There is no way to call anything else, to reach an attribute of an object, or to make a large value.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_LENGTH = 500
MAX_NODES = 150
_LARGEST = 1 << 63

#: Names that an expression may use besides vars and facts.
CONSTANTS: dict[str, Any] = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
#: Truth values as YAML and Python write them.
_WORDS = {"true": True, "false": False, "null": None}
_CALLS: dict[str, Callable[..., Any]] = {"min": min, "max": max}

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_NODES = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.BinOp,
    ast.Compare,
    ast.IfExp,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.List,
    ast.Tuple,
    ast.Subscript,
    ast.Attribute,
    ast.Call,
    *_COMPARE,
    *_BINARY,
    *_UNARY,
)


class ExpressionError(ValueError):
    """``str`` says what is wrong and where in the text."""


@dataclass(frozen=True)
class Expression:
    """``names``: what it needs to know, constants left out."""

    text: str
    names: frozenset[str]
    _body: ast.expr

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """Raises ExpressionError, also where a name is not in ``names``."""
        try:
            return _bounded(_evaluate(self._body, names))
        except ExpressionError as e:
            raise ExpressionError(f"{e} in `{self.text}`") from e
        except (TypeError, ZeroDivisionError, OverflowError, LookupError) as e:
            raise ExpressionError(f"{_plain(e)} in `{self.text}`") from e


def parse(text: str) -> Expression:
    """Raises ExpressionError with the position, counted from 1."""
    text = text.strip()
    if not text:
        raise ExpressionError("an empty expression")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as e:
        raise ExpressionError(f"`{text}` is not an expression: {e.msg} at {_position(e, text)}") from e
    except (ValueError, MemoryError, RecursionError) as e:
        raise ExpressionError(f"`{text[:40]}` is not an expression: {e}") from e
    nodes = list(ast.walk(tree))
    if len(nodes) > MAX_NODES:
        raise ExpressionError(f"`{text[:40]}…` is too large an expression")
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    for node in nodes:
        _check(node, text)
        for child in ast.iter_child_nodes(node):
            _check_operator(child, node, text)
    used = {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in called}
    return Expression(text, frozenset(used - CONSTANTS.keys() - _WORDS.keys()), tree.body)


def _position(e: SyntaxError, text: str) -> str:
    at_end = not e.offset or e.offset > len(text)
    return "its end" if at_end else f"character {e.offset}"


def _check_operator(node: ast.AST, parent: ast.AST, text: str) -> None:
    """An operator has no position of its own: it is said where its left side begins."""
    if not hasattr(node, "col_offset") and not isinstance(node, _NODES):
        at = getattr(parent, "col_offset", 0) + 1
        raise ExpressionError(f"{_called(node)} is not allowed at character {at} of `{text}`")


def _check(node: ast.AST, text: str) -> None:
    at = f" at character {getattr(node, 'col_offset', 0) + 1} of `{text}`"
    if not isinstance(node, _NODES) and hasattr(node, "col_offset"):
        raise ExpressionError(f"{_called(node)} is not allowed{at}")
    if isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float | str | None):
        raise ExpressionError(f"{node.value!r} is not allowed{at}")
    if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        raise ExpressionError(f".{node.attr} is not allowed{at}")
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _CALLS or node.keywords:
            raise ExpressionError(f"a call is not allowed{at}; there are {', '.join(sorted(_CALLS))} only")


def _called(node: ast.AST) -> str:
    names = {"Lambda": "lambda", "Pow": "**", "Is": "is", "IsNot": "is not", "JoinedStr": "an f-string"}
    return names.get(type(node).__name__, type(node).__name__)


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _look_up(name, names)
        case ast.BoolOp(op=op, values=values):
            return _bool_op(op, values, names)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compare(left, ops, others, names)
        case ast.UnaryOp(op=unary, operand=operand):
            return _UNARY[type(unary)](_evaluate(operand, names))
        case ast.BinOp(left=left, op=binary, right=right):
            return _arithmetic(binary, _evaluate(left, names), _evaluate(right, names))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _evaluate(body if _evaluate(test, names) else orelse, names)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluate(i, names) for i in items]
        case ast.Attribute(value=of, attr=key):
            return _member(_evaluate(of, names), key)
        case ast.Subscript(value=of, slice=key_node):
            return _member(_evaluate(of, names), _evaluate(key_node, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _CALLS[name](*(_evaluate(a, names) for a in args))
    raise ExpressionError(f"{_called(node)} is not allowed")


def _look_up(name: str, names: Mapping[str, Any]) -> Any:
    for table in (names, CONSTANTS, _WORDS):
        if name in table:
            return table[name]
    raise ExpressionError(f"`{name}` is not known")


def _bool_op(op: ast.boolop, values: list[ast.expr], names: Mapping[str, Any]) -> Any:
    """As Python does it: the value that decided, not necessarily a truth value."""
    value: Any = None
    for one in values:
        value = _evaluate(one, names)
        if bool(value) is isinstance(op, ast.Or):
            break
    return value


def _compare(left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], names: Mapping[str, Any]) -> bool:
    a = _evaluate(left, names)
    for op, other in zip(ops, others, strict=True):
        b = _evaluate(other, names)
        if not _COMPARE[type(op)](a, b):
            return False
        a = b
    return True


def _arithmetic(op: ast.operator, a: Any, b: Any) -> Any:
    texts = isinstance(a, str) and isinstance(b, str) and isinstance(op, ast.Add)
    if not texts and not (_number(a) and _number(b)):
        raise ExpressionError(f"arithmetic takes numbers, not {a!r} and {b!r}")
    return _bounded(_BINARY[type(op)](a, b))


def _member(of: Any, key: Any) -> Any:
    """None where a mapping lacks the key: a host without the label is not an error."""
    if isinstance(of, Mapping):
        return of.get(key)
    if isinstance(of, list) and isinstance(key, int):
        return of[key]
    raise ExpressionError(f"{of!r} has no {key!r}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounded(value: Any) -> Any:
    if (_number(value) and abs(value) > _LARGEST) or (isinstance(value, str) and len(value) > 10_000):
        raise ExpressionError("too large a value")
    return value


def _plain(e: Exception) -> str:
    text = str(e).strip("'")
    return text.replace("NoneType", "nothing") if text else type(e).__name__


_OPENING = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True)
class Template:
    """A text with ``{{ … }}`` in it: texts and expressions in turn."""

    parts: tuple[str | Expression, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(n for p in self.parts if isinstance(p, Expression) for n in p.names)

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """A text; where the whole text is one expression, its value with its type."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].evaluate(names)
        return "".join(p if isinstance(p, str) else _text(p.evaluate(names)) for p in self.parts)


def is_template(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def holds_template(value: Any) -> bool:
    """Anywhere in it, however deep."""
    if isinstance(value, dict):
        return any(map(holds_template, value.values()))
    if isinstance(value, list):
        return any(map(holds_template, value))
    return is_template(value)


def template(text: str) -> Template:
    """Raises ExpressionError."""
    parts: list[str | Expression] = []
    end = 0
    for match in _OPENING.finditer(text):
        parts += [text[end : match.start()], parse(match[1])]
        end = match.end()
    parts.append(text[end:])
    if any(isinstance(p, str) and "{{" in p for p in parts):
        raise ExpressionError("`{{` without `}}`")
    return Template(tuple(p for p in parts if p != ""))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
