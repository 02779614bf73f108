"""Maze layouts as data and what follows from them. No jax: the planner reads this too.

A layout is a list of equal-long rows. `#` is a wall, `R` the start, `F` a free cell of the
far goal set, `.` any other free cell. x grows down the rows, y along the columns, and cell
(row, column) covers [row, row + 1) x [column, column + 1) in cell units.
Source of the layouts: the public environments of arXiv 2503.14858.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crlscale.errors import CrlscaleError

LAYOUTS = {
    "u": "##### #R..# ###.# #FFF# #####",
    "u2": "###### #R...# ####.# #FFFF# ######",
    "u3": "####### #R....# #####.# #FFFFF# #######",
    "u4": "##### #...# #R#.# ###.# #F#.# #FFF# #####",
    "u5": "######## #......# #R####.# ######.# #F####F# #FFFFFF# ########",
    "u6": "####### #.....# #R###.# #####.# #F###F# #FFFFF# #######",
    "u7": "###### #....# #R##.# ####.# #F##F# #FFFF# ######",
    "big": "######## #R.##FF# #..#..F# ##...### #..#...# #.#F.#F# #.FF#FF# ########",
    "hardest": (
        "############ #R...#.....# #.##.#.#.#.# #......#...# #.####.###.# "
        "#..#.#.....# ##.#.#.#.### #..#...#...# ############"
    ),
}


@dataclass(frozen=True)
class Case:
    """What one kind of evaluation episode commands: the goal cell (`row`, `column`), whether it is in
    the far set, the `start` cell (None: any R) and how many cells apart the two are along the path."""

    row: int
    column: int
    far: bool
    start: tuple[int, int] | None
    apart: int


@dataclass(frozen=True)
class Maze:
    """One layout: `rows` of characters, all equally long, closed by walls. `pits`: the inner walls
    are holes to fall into instead."""

    name: str
    rows: tuple[str, ...]
    pits: bool = False

    @cached_property
    def blocked(self) -> np.ndarray:
        """Boolean [rows, columns], true where nothing can walk: wall or pit."""
        return np.array([[c == "#" for c in row] for row in self.rows])

    @cached_property
    def walls(self) -> np.ndarray:
        """Boolean [rows, columns], true where a wall stands; with pits only the border."""
        return self.blocked & ~self.holes

    @cached_property
    def holes(self) -> np.ndarray:
        """Boolean [rows, columns], true where a pit is."""
        inner = np.zeros_like(self.blocked)
        inner[1:-1, 1:-1] = self.pits
        return self.blocked & inner

    def _cells(self, characters: str) -> np.ndarray:
        found = [
            (r, c) for r, row in enumerate(self.rows) for c, ch in enumerate(row) if ch in characters
        ]
        return np.array(found, dtype=np.int32).reshape(-1, 2)

    @cached_property
    def starts(self) -> np.ndarray:
        """Start cells, int32 [n, 2] (row, column)."""
        return self._cells("R")

    @cached_property
    def goals(self) -> np.ndarray:
        """Every free cell but the starts, int32 [n, 2] in reading order."""
        return self._cells(".F")

    @cached_property
    def far(self) -> np.ndarray:
        """Boolean [n] over `goals`: which belong to the far set (all false where there is none)."""
        return np.array([self.rows[r][c] == "F" for r, c in self.goals], dtype=bool)

    def goal_sets(self, goals: str = "task", stitch: int | None = None) -> tuple[str, ...]:
        """The goal sets of an evaluation that exist; the first one scores by default."""
        far = [case.far for case in self.cases(goals, stitch)]
        return ("far", "near", "all") if any(far) and not all(far) else ("all",)

    def cases(self, goals: str = "task", stitch: int | None = None) -> tuple[Case, ...]:
        """What an evaluation commands in turn.

        By default every goal cell from any R. `goals="single"`: the farthest cell alone. With
        `stitch` k every ordered pair of different free cells, those over k cells apart being far."""
        if stitch is not None:
            return self._pairs(stitch)
        apart = self.distances()
        cases = [
            Case(r, c, bool(far), None, int(apart[r, c]))
            for (r, c), far in zip(self.goals.tolist(), self.far, strict=True)
        ]
        if goals == "single":
            return (max(cases, key=lambda case: case.apart),)
        return tuple(cases)

    def training_pairs(self, goals: str = "task", stitch: int | None = None) -> np.ndarray:
        """Start and goal cells that training commands, int32 [P, 2, 2], all equally likely."""
        cases = self.cases(goals, stitch)
        if stitch is not None:
            cases = [case for case in cases if not case.far]
        starts = self.starts.tolist()
        pairs = [(s, (k.row, k.column)) for k in cases for s in ([k.start] if k.start else starts)]
        return np.array(pairs, dtype=np.int32)

    def _pairs(self, stitch: int) -> tuple[Case, ...]:
        cells = [tuple(cell) for cell in np.argwhere(~self.blocked).tolist()]
        cases = []
        for start in cells:
            apart = self._steps_from([start])
            goals = [cell for cell in cells if apart[cell] > 0]
            cases += [Case(*g, bool(apart[g] > stitch), start, int(apart[g])) for g in goals]
        if not any(case.far for case in cases):
            farthest = max(case.apart for case in cases)
            raise CrlscaleError(
                f"stitch = {stitch}: no two cells of maze {self.name} are farther apart"
                f" than {farthest}, so nothing is left to test",
                value=stitch,
                remedy=f"--set stitch={max(1, farthest // 2)}",
            )
        return tuple(cases)

    def distances(self) -> np.ndarray:
        """Steps from the nearest start to each cell along the free cells, int32; -1 if unreachable."""
        return self._steps_from([tuple(cell) for cell in self.starts.tolist()])

    def _steps_from(self, frontier: list[tuple[int, int]]) -> np.ndarray:
        steps = np.full(self.blocked.shape, -1, dtype=np.int32)
        frontier = list(frontier)
        for cell in frontier:
            steps[cell] = 0
        while frontier:
            row, column = frontier.pop(0)
            for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if not self.blocked[cell] and steps[cell] < 0:
                    steps[cell] = steps[row, column] + 1
                    frontier.append(cell)
        return steps


MAZES = {name: Maze(name, tuple(text.split())) for name, text in LAYOUTS.items()}


def maze_of(
    body: str, task: str, rows: str | None, overrides: dict[str, str] | None = None
) -> Maze | None:
    """The maze of task `{body}_{maze}_maze`, `{body}_{maze}_pitfall`, or `{body}_maze` and
    `{body}_pitfall` with a layout of the user's (`rows` separated by blanks); None for other names.
    `overrides`: layouts that this body has in another form."""
    found = re.fullmatch(rf"{body}(?:_(\w+))?_(maze|pitfall)", task)
    if found is None:
        return None
    name, pits = found[1], found[2] == "pitfall"
    if (name is None) != (rows is not None):
        return _refuse_layout(body, task, name, found[2])
    if name is None:
        return Maze("custom", check_layout(rows.split(), "maze"), pits)
    layouts = {**LAYOUTS, **(overrides or {})}
    return Maze(name, tuple(layouts[name].split()), pits) if name in layouts else None


def _refuse_layout(body: str, task: str, name: str | None, kind: str):
    if name is None:
        raise CrlscaleError(
            f"{task} needs a layout of your own",
            value=task,
            remedy="--maze path.txt, or --env point_u_maze",
        )
    if name not in LAYOUTS:
        return None
    raise CrlscaleError(
        f"{task} has a layout already, so none can be given", value=task, remedy=f"--env {body}_{kind}"
    )


def check_layout(rows: list[str], where: str) -> tuple[str, ...]:
    """The rows of a layout, if it can be walked: a closed border, an R at least, every goal within
    reach. Errors name row and column, counted from 1; `where` is the file or field it came from."""
    rows = tuple(rows)
    if len(rows) < 3 or max(map(len, rows)) < 3:
        _wrong(where, "a maze has at least 3 rows and 3 columns", rows, "###, #R#, ### and so on")
    for r, row in enumerate(rows):
        if len(row) != len(rows[0]):
            _wrong(
                where,
                f"row {r + 1} has {len(row)} columns, row 1 has {len(rows[0])}",
                row,
                "pad with #",
            )
        for c, character in enumerate(row):
            place = f"row {r + 1}, column {c + 1}: {character!r}"
            if character not in "#R.F":
                _wrong(
                    where,
                    f"{place} is none of # R . F",
                    character,
                    "# wall, R start, F far goal, . free",
                )
            if character != "#" and (r in (0, len(rows) - 1) or c in (0, len(row) - 1)):
                _wrong(where, f"{place} is on the border, which must be closed", character, "#")
    maze = Maze("custom", rows)
    if not len(maze.starts):
        _wrong(where, "no R: a maze needs one start cell at least", rows, "R in a free cell")
    if not len(maze.goals):
        _wrong(where, "no free cell but R: a maze needs a goal", rows, ". in a cell beside R")
    steps = maze.distances()
    for r, c in maze.goals.tolist():
        if steps[r, c] < 0:
            _wrong(
                where, f"row {r + 1}, column {c + 1} cannot be reached from an R", rows[r][c], "# there"
            )
    return rows


def _wrong(where: str, words: str, value: object, remedy: str):
    raise CrlscaleError(f"{where}: {words}", value=value, remedy=remedy)
