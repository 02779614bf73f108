"""Comparisons over config fields, as a study writes them: `actor_depth <= critic_depth`.

Fields, numbers, texts in quotes, true, false and null, compared by < <= == != >= > and `in`,
joined by `and`, `or` and `not`. The text is parsed, never run.
"""

import ast
import operator
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crlscale.errors import CrlscaleError
from crlscale.settings import check_key

LONGEST = 500  # characters
EXAMPLE = "\"actor_depth <= critic_depth and env in ['ant', 'humanoid']\""

_ORDERS = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Condition:
    """One parsed comparison: its text and the config fields that it asks for."""

    text: str
    fields: frozenset[str]
    tree: ast.expr

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true of a cell; a depth of actor or critic that is null is `depth`."""
        values = dict(values)
        for field in ("actor_depth", "critic_depth"):
            if values.get(field) is None:
                values[field] = values["depth"]
        return _truth(self.tree, values, self.text)


def parse_condition(text: object) -> Condition:
    """The condition that `text` says; what cannot be read is a CrlscaleError that quotes it."""
    if not isinstance(text, str) or not text.strip():
        raise CrlscaleError(f"condition {text!r} is not a text", value=text, remedy=EXAMPLE)
    if len(text) > LONGEST:
        raise CrlscaleError(
            f"a condition of {len(text)} characters; {LONGEST} at most", value=text, remedy=EXAMPLE
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about escapes in texts
            tree = ast.parse(text.strip(), mode="eval").body
        return Condition(text.strip(), frozenset(_fields(tree, text)), tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CrlscaleError(
            f"condition {text!r} cannot be read", value=text, remedy=f"a comparison as {EXAMPLE}"
        ) from None


# --- reading: what is allowed ----------------------------------------------------------------
def _fields(node: ast.expr, text: str) -> set[str]:
    """The fields of a truth; anything that is neither a truth nor made of truths is refused."""
    if isinstance(node, ast.BoolOp):
        return set().union(*(_fields(part, text) for part in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _fields(node.operand, text)
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for op, right in zip(node.ops, node.comparators, strict=True):
            listed = isinstance(op, ast.In | ast.NotIn)
            if isinstance(op, ast.Is | ast.IsNot) or listed != isinstance(right, ast.List):
                raise _refusal(text, "`in` takes a list, the other comparisons one value")
        if isinstance(node.left, ast.List):
            raise _refusal(text, "a list stands to the right of `in`")
        return set().union(*(_fields_of_operand(operand, text) for operand in operands))
    if isinstance(node, ast.Name) and node.id not in _WORDS:
        check_key(node.id)
        raise _refusal(text, f"{node.id} alone is not a comparison", f"{node.id} == true")
    raise _refusal(text, "it is not a comparison")


def _fields_of_operand(node: ast.expr, text: str) -> set[str]:
    if isinstance(node, ast.Name):
        if node.id in _WORDS:
            return set()
        try:
            check_key(node.id)
        except CrlscaleError as unknown:
            why = f"{unknown.message}; a text stands in quotes"
            raise _refusal(text, why, f"'{node.id}' in quotes, or a config field") from None
        return {node.id}
    if isinstance(node, ast.List):
        return set().union(*(_fields_of_operand(item, text) for item in node.elts))
    sign = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd)
    literal = node.operand if sign else node
    kinds = int | float if sign else int | float | str
    if isinstance(literal, ast.Constant) and isinstance(literal.value, kinds):
        return set()
    raise _refusal(text, f"{ast.unparse(node)!r} is neither a config field nor a value")


def _refusal(text: str, why: str, remedy: str | None = None) -> CrlscaleError:
    return CrlscaleError(f"condition {text!r}: {why}", value=text, remedy=remedy or EXAMPLE)


# --- asking: whether it is true -----------------------------------------------------------------
def _truth(node: ast.expr, values: Mapping, text: str) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = (_truth(part, values, text) for part in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp):
        return not _truth(node.operand, values, text)
    left = _value(node.left, values)
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node, values)
        if not _compare(left, op, right, text):
            return False
        left = right
    return True


def _value(node: ast.expr, values: Mapping):
    if isinstance(node, ast.Name):
        return _WORDS[node.id] if node.id in _WORDS else values[node.id]
    if isinstance(node, ast.List):
        return [_value(item, values) for item in node.elts]
    if isinstance(node, ast.UnaryOp):
        number = node.operand.value
        return -number if isinstance(node.op, ast.USub) else number
    return node.value


def _compare(left, op: ast.cmpop, right, text: str) -> bool:
    if isinstance(op, ast.In | ast.NotIn):
        found = any(_equal(left, item, text) for item in right)
        return found == isinstance(op, ast.In)
    if isinstance(op, ast.Eq | ast.NotEq):
        return _equal(left, right, text) == isinstance(op, ast.Eq)
    if _kind(left) != "number" or _kind(right) != "number":
        raise _refusal(text, f"{left!r} and {right!r} have no order", "numbers, or ==, !=, in")
    return _ORDERS[type(op)](left, right)


def _equal(left, right, text: str) -> bool:
    kinds = {_kind(left), _kind(right)}
    if len(kinds - {"null"}) > 1:
        why = f"{left!r} is a {_kind(left)} and {right!r} a {_kind(right)}"
        raise _refusal(text, why, "values of the same kind")
    return left == right and len(kinds) == 1


def _kind(value) -> str:
    if value is None:
        return "null"
    return "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
