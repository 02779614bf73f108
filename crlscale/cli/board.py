"""The state of a study on one screen: a line a cell, a letter a seed, what failed and why.

Every state has a letter as well as a colour, so that it reads without one."""

import time
from dataclasses import dataclass

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crlscale.cli.words import several, span, why
from crlscale.overview import FAILING, CellState, Overview, log_tail
from crlscale.record import FINISHED

LETTERS = {
    "complete": ("C", "green"),
    "running": ("R", "bold cyan"),
    "planned": (".", "dim"),
    "stopped": ("S", "yellow"),
    "lost": ("L", "bold magenta"),
    "diverged": ("D", "red"),
    "failed": ("F", "bold white on red"),
    "damaged": ("X", "bold white on red"),
}
SEEDS_SHOWN = 20  # more seeds of a cell are counted by state
CELLS_AS_LINES, LINES_OF_TILES = 60, 40  # without an end of the screen; more cells are counted
CAUSES_SHOWN, CAUSES_LISTED = 2, 20  # on a screen with an end, and without
LOG_LINES = 2
SHORT = {"batch_size": "batch", "actor_depth": "actor", "critic_depth": "critic"}
COLUMN_GAP = 2


@dataclass(frozen=True)
class Screen:
    """How much may be drawn: columns, and lines (None: as many as it takes)."""

    width: int
    height: int | None = None


def board(overview: Overview, screen: Screen) -> Group:
    """What `crlscale status STUDY` shows. On a screen with a height the cells that fail or run come
    first, and those for which no line is left are drawn as tiles or counted."""
    cells = overview.cells
    head = [*_head(overview), Text()]
    foot = [Text(), _legend(overview, screen.width), *_causes(overview, screen)]
    if len(cells) <= CELLS_AS_LINES and screen.height is None:
        return Group(*head, _lines(overview, cells), *foot)
    cells.sort(key=lambda cell: cell.urgency)
    space, most = CELLS_AS_LINES + LINES_OF_TILES, CELLS_AS_LINES
    if screen.height is not None:
        space = max(2, screen.height - len(head) - len(foot) - 1)  # a line for the column titles
        most = max(1, space * 2 // 3)
        if len(cells) <= space:
            return Group(*head, _lines(overview, cells), *foot)
    lines = min(most, sum(cell.urgency < 5 for cell in cells))
    return Group(*head, *_fitting(overview, cells, screen.width, space, lines), *foot)


def _fitting(overview: Overview, cells: list[CellState], width: int, space: int, lines: int) -> list:
    """The first `lines` cells as lines, the others as tiles, in `space` lines of the screen."""
    parts = [_lines(overview, cells[:lines])] if lines else []
    tiles, left = _tiles(cells[lines:], width, space - lines - 1)
    parts += tiles
    if left:
        counts = {}
        for cell in left:
            for word in cell.states:
                counts[word] = counts.get(word, 0) + 1
        parts.append(Text(f"and {len(left)} more cells: {_listed(counts)}", style="dim"))
    return parts


# --- what stands above -----------------------------------------------------------------------
def _head(overview: Overview) -> list:
    runs, share, left = len(overview.runs), overview.share_done, overview.seconds_left
    title = Text(overview.study.name, style="bold")
    title.append(time.strftime("  %Y-%m-%d %H:%M:%S", time.localtime(overview.looked)), style="dim")
    progress = Table.grid(padding=(0, 1))
    ended = not overview.counts.keys() - {"complete", "diverged", "failed"}
    end = "every run has ended" if ended else "nothing is running"
    if left is not None:
        end = f"about {span(left)} left, ends about {_clock(overview.looked + left)}"
    elif overview.counts.get("running"):
        end = "no run can tell its pace yet"
    progress.add_row(
        ProgressBar(total=1.0, completed=share, width=24), f"{share:.0%} of the work, {end}"
    )
    return [title, Text(f"{several(runs, 'run')}: {_listed(overview.counts)}"), progress]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[word]:,} {word}" for word in LETTERS if counts.get(word))


def _clock(moment: float) -> str:
    """A time of day, with the date if it is not within a day of now."""
    near = abs(moment - time.time()) < 20 * 3600
    return time.strftime("%H:%M" if near else "%a %Y-%m-%d %H:%M", time.localtime(moment))


# --- the cells -------------------------------------------------------------------------------
def _lines(overview: Overview, cells: list[CellState]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, COLUMN_GAP, 0, 0))
    for axis in overview.study.axes:
        table.add_column(SHORT.get(axis, axis), justify="right", overflow="fold")
    table.add_column("seeds", overflow="fold")
    for column in ("done", "at goal", "upd/s", "left"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for cell in cells:
        table.add_row(
            *map(str, cell.levels),
            _seeds(cell),
            f"{cell.done:.0%}",
            _number(cell.time_at_goal, ".1f"),
            _number(cell.updates_per_second, ".0f"),
            span(cell.seconds_left),
            _note(overview, cell),
        )
    return table


def _seeds(cell: CellState) -> Text:
    if len(cell.states) > SEEDS_SHOWN:
        counts = {word: cell.states.count(word) for word in LETTERS}
        parts = [(f"{n}{LETTERS[word][0]} ", LETTERS[word][1]) for word, n in counts.items() if n]
        return Text.assemble(*parts)
    return Text.assemble(*(LETTERS[word] for word in cell.states))


def _note(overview: Overview, cell: CellState) -> Text:
    """What is not plain: failures, and unfinished runs that took more than one attempt."""
    words = [
        (f"{cell.states.count(word)} {word}", LETTERS[word][1].replace("white on ", ""))
        for word in (*FAILING, "diverged")
        if word in cell.states
    ]
    runs = [overview.runs[run_id] for run_id in cell.run_ids]
    again = sum(run["status"] not in FINISHED and (run.get("attempts") or 1) > 1 for run in runs)
    words += [(f"{again} tried again", "yellow")] if again else []
    patched = sum(run["status"] == "complete" and bool(run.get("cause")) for run in runs)
    words += [(f"{patched} with a damaged status.json", "yellow")] if patched else []
    unstable = len(set(overview.unstable).intersection(cell.run_ids))
    words += [(f"{unstable} unstable", "yellow")] if unstable else []
    return Text(", ").join([Text(*word) for word in words])


def _tiles(cells: list[CellState], width: int, space: int) -> tuple[list, list[CellState]]:
    """`cells` side by side in at most `space` lines, and those that did not fit."""
    labels = [",".join(map(str, cell.levels)) for cell in cells]
    seeds = [_seeds(cell) for cell in cells]
    if not cells or space < 1:
        return [], cells
    label, seed = max(map(len, labels)), max(len(text) for text in seeds)
    across = max(1, (width + COLUMN_GAP) // (label + 1 + seed + COLUMN_GAP))
    shown = len(cells) if len(cells) <= across * space else across * max(0, space - 1)
    lines = []
    for start in range(0, shown, across):
        line = Text()
        for index in range(start, min(start + across, shown)):
            line.append(labels[index].rjust(label) + " ", style="dim")
            line.append_text(seeds[index])
            line.append(" " * (seed - len(seeds[index]) + COLUMN_GAP))
        lines.append(line)
    return lines, cells[shown:]


# --- what stands below -----------------------------------------------------------------------
def _legend(overview: Overview, width: int) -> Text:
    words = [(*LETTERS[word], word) for word in LETTERS if overview.counts.get(word)]
    gap = "  " if sum(len(word) + 4 for _, _, word in words) <= width + 2 else " "
    parts = [Text.assemble((letter, style), " ", (word, "dim")) for letter, style, word in words]
    return Text(gap).join(parts)


def _causes(overview: Overview, screen: Screen) -> list[Text]:
    """Failed runs with their cause and the end of their log, then others that have one or are unstable;
    the last ones by time if there are many."""
    failed = [*overview.named(*FAILING, "diverged"), *overview.patched, *overview.unstable]
    failed = list(dict.fromkeys(failed))
    failed.sort(key=lambda run_id: -(overview.runs[run_id].get("ended") or 0.0))
    failed.sort(key=lambda run_id: overview.runs[run_id]["status"] in FINISHED)
    shown = failed[: CAUSES_LISTED if screen.height is None else CAUSES_SHOWN]
    lines = []
    for run_id in shown:
        status = overview.runs[run_id]
        word, said = status["status"], cause(status)
        lines.append(Text.assemble((f"{word}: ", LETTERS[word][1]), f"{run_id}{_where(status)}"))
        lines.append(Text(f"  {said}", no_wrap=screen.height is not None, overflow="ellipsis"))
        for line in log_tail(overview, run_id, LOG_LINES) if word not in FINISHED else ():
            if line.strip() not in said:  # as far as the cause does not quote it
                lines.append(Text(f"  | {line}", style="dim", no_wrap=True, overflow="ellipsis"))
    if len(failed) > len(shown):
        more = (
            f"and {len(failed) - len(shown)} more; crlscale runs list {overview.study.name} names all"
        )
        lines.append(Text(more, style="dim"))
    return lines


def cause(status: dict) -> str:
    """Why a run failed, in the words of its record, and since when it was unstable."""
    if status["status"] == "lost":
        return f"no heartbeat since {_clock(status.get('heartbeat') or 0.0)}"
    kind = f" [{status['kind']}]" if status.get("kind") else ""
    return f"{why(status) or 'no cause recorded'}{kind}"


def _where(status: dict) -> str:
    """Where a run ran and how often it was tried, as far as that was recorded."""
    words = []
    if (status.get("attempts") or 1) > 1:
        words.append(f"attempt {status['attempts']}")
    if status.get("launcher"):
        words.append(f"{status['launcher']} {status.get('job') or ''}".strip())
    if status.get("host"):
        words.append(f"on {status['host']}")
    return f" ({', '.join(words)})" if words else ""


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
