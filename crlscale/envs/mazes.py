"""Maze layouts as data and what follows from them. No jax: the planner reads this too.

A layout is a list of equal-long rows. `#` is a wall, `R` the start, `F` a free cell of the
far goal set, `.` any other free cell. x grows down the rows, y along the columns, and cell
(row, column) covers [row, row + 1) x [column, column + 1) in cell units.
Source of the layouts: the public environments of arXiv 2503.14858.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
class Maze:
    """One layout: `rows` of characters, all equally long, closed by walls."""

    name: str
    rows: tuple[str, ...]

    @cached_property
    def walls(self) -> np.ndarray:
        """Boolean [rows, columns], true where a wall stands."""
        return np.array([[c == "#" for c in row] for row in self.rows])

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

    @property
    def goal_sets(self) -> tuple[str, ...]:
        return ("far", "near", "all") if self.far.any() else ("all",)

    def distances(self) -> np.ndarray:
        """Steps from the nearest start to each cell along the free cells, int32; -1 if unreachable."""
        steps = np.full(self.walls.shape, -1, dtype=np.int32)
        frontier = [tuple(cell) for cell in self.starts]
        for cell in frontier:
            steps[cell] = 0
        while frontier:
            row, column = frontier.pop(0)
            for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if not self.walls[cell] and steps[cell] < 0:
                    steps[cell] = steps[row, column] + 1
                    frontier.append(cell)
        return steps


MAZES = {name: Maze(name, tuple(text.split())) for name, text in LAYOUTS.items()}
