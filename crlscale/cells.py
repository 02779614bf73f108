"""The cells of a study from what was asked: axes x lists, settings that depend, equal sizes, filters."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from crlscale.conditions import Condition, parse_condition
from crlscale.config import RunConfig
from crlscale.equal import MEASURES, SOLVABLE, Equal
from crlscale.errors import CrlscaleError
from crlscale.settings import check_key

DEFAULTS = {key: field.default for key, field in RunConfig.model_fields.items()}


@dataclass(frozen=True)
class Cell:
    """Plain settings of one cell, without a seed; with [equal], what it has as a share of what its
    reference has."""

    values: dict
    ratio: float | None = None


@dataclass(frozen=True)
class Grid:
    """What a study asks for, as plain data: every combination of `axes` with every one of `cells`
    (settings that belong together); `when` = [{"where": condition, "set": settings}] in that order;
    `equal` = {"what", "solve", "reference"}; of all these the cells for which each condition of
    `where` holds."""

    axes: dict[str, list]
    cells: list[dict]
    when: list[dict]
    equal: dict | None
    where: list[str]

    @property
    def fields(self) -> list[str]:
        """The fields whose levels tell the cells apart."""
        return list(dict.fromkeys([*self.axes, *(key for cell in self.cells for key in cell)]))

    def check(self, settings: dict) -> None:
        """Refuse what can mean nothing, before any cell is made."""
        whens = [key for rule in self.when for key in rule["set"]]
        reference = self.equal["reference"] if self.equal else {}
        for key in [*self.fields, *whens, *settings, *reference]:
            check_key(key)
        if "seed" in {*self.fields, *whens, *settings, *reference}:
            raise CrlscaleError("`seed` is set by --seeds N (0..N-1)", value="seed", remedy="--seeds 3")
        if not self.fields:
            raise CrlscaleError(
                "a study needs at least one axis", value=None, remedy="--axis depth=4,8"
            )
        for axis, levels in self.axes.items():
            _check_levels(axis, levels)
        for cell in self.cells:
            for key in cell.keys() & self.axes.keys():
                raise CrlscaleError(f"{key!r} is an axis and in a cell", value=key, remedy="only one")
        for key in self.fields:
            if key in settings:
                raise CrlscaleError(
                    f"{key!r} is an axis of this study and also set to {settings[key]!r}",
                    value=key,
                    remedy=f"leave --set {key} out",
                )
            if key in whens:
                raise CrlscaleError(
                    f"{key!r} is an axis of this study and set by `when` too",
                    value=key,
                    remedy="only one",
                )
        if self.equal:
            _check_equal(self.equal, self.fields)

    def expand(self, settings: dict, most: int) -> list[Cell]:
        """The cells of a checked grid in the order of the axes, the first the slowest; `settings` are
        those of the preset and the study, which axes, cells and `when` override. A grid of more than
        `most` combinations is a CrlscaleError, whatever `where` would leave of it."""
        combinations = math.prod(map(len, self.axes.values())) * max(1, len(self.cells))
        if combinations > most:
            raise CrlscaleError(
                f"{combinations:,} combinations of levels; a study has at most {most:,} runs",
                value=combinations,
                remedy="fewer levels, or several studies",
            )
        rules = [(parse_condition(rule["where"]), rule["set"]) for rule in self.when]
        filters = [parse_condition(text) for text in self.where]
        equal = Equal(**self.equal) if self.equal else None
        # what a filter leaves out need not be legal; only one over the solved field must wait
        late = [f for f in filters if equal and equal.solve in f.fields]
        early = [f for f in filters if f not in late]
        used, found = set(), []
        for values in self._products(settings):
            for rule, more in rules:
                if rule.holds(DEFAULTS | values):
                    used.add(rule.text)
                    values = values | more
            if not _kept(early, values):
                continue
            cell = Cell(values)
            if equal:
                value, ratio = equal.match(values)
                cell = Cell({**values, equal.solve: value}, ratio)
            if _kept(late, cell.values):
                found.append(cell)
        _check_used(rules, used)
        if not found:
            raise CrlscaleError(
                f"no cell is left by {' and '.join(map(repr, self.where))}",
                value=self.where,
                remedy="a wider --where",
            )
        return found

    def _products(self, settings: dict) -> Iterator[dict]:
        for levels in itertools.product(*self.axes.values()):
            for cell in self.cells or [{}]:
                yield {**settings, **dict(zip(self.axes, levels, strict=True)), **cell}


def _kept(filters: list[Condition], values: dict) -> bool:
    return all(condition.holds(DEFAULTS | values) for condition in filters)


def _check_levels(axis: str, levels: object) -> None:
    if not isinstance(levels, list) or not levels:
        raise CrlscaleError(f"axis {axis!r} has no levels", value=levels, remedy=f"{axis} = [4, 8]")
    if any(level in levels[:index] for index, level in enumerate(levels)):
        raise CrlscaleError(
            f"axis {axis!r} names a level twice", value=levels, remedy="name each level once"
        )


def _check_equal(equal: dict, fields: list[str]) -> None:
    for key, legal in (("what", MEASURES), ("solve", SOLVABLE)):
        if equal[key] not in legal:
            raise CrlscaleError(
                f"equal: {key} = {equal[key]!r}; legal: {', '.join(legal)}",
                value=equal[key],
                remedy=f"{key} = {next(iter(legal))}",
            )
    if equal["solve"] in fields:
        raise CrlscaleError(
            f"{equal['solve']!r} is an axis of this study and also solved for",
            value=equal["solve"],
            remedy="an axis over another field",
        )
    if not equal["reference"]:
        raise CrlscaleError(
            "equal: the reference is empty", value={}, remedy="reference = { depth = 4, width = 256 }"
        )


def _check_used(rules: list[tuple[Condition, dict]], used: set[str]) -> None:
    for rule, _ in rules:
        if rule.text not in used:
            raise CrlscaleError(
                f"`when` {rule.text!r} holds for no cell",
                value=rule.text,
                remedy="a level that is there",
            )
