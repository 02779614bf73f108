"""Tables of comparisons: two studies, methods at equal budgets, published numbers, tasks by observation size."""

from crlscale.analysis.methods import MethodsCompared
from crlscale.analysis.observation_size import ObservationSize
from crlscale.analysis.published import AgainstPaper
from crlscale.analysis.two_studies import StudiesCompared
from crlscale.report.findings import Table, estimate_cells
from crlscale.report.table import SHORT, short_number


def studies_tables(result: StudiesCompared) -> list[Table]:
    """One line a shared cell, then all of them together."""
    axes = list(result.pairs[0].levels)
    rows = []
    for pair in result.pairs:
        p = "-" if pair.corrected is None else f"{pair.corrected:.3f}"
        rows.append([
            *(str(level) for level in pair.levels.values()),
            estimate_cells(pair.first.estimate)[0], estimate_cells(pair.second.estimate)[0],
            *estimate_cells(pair.difference, "+.1f"), p, f"{pair.improvement.value:.2f}",
        ])  # fmt: skip
    columns = [*(SHORT.get(axis, axis) for axis in axes), "first", "second", "difference"]
    columns += ["95 % interval", "p (Holm)", "P(better)"]
    return [(f"First {result.first}, second {result.second}", columns, rows)]


def methods_tables(result: MethodsCompared) -> list[Table]:
    """A table for each kind of budget, a line a level."""
    columns = [result.axis, "at", "steps", "95 % interval", "P(better)"]
    tables = []
    for at in result.budgets:
        rows = [
            [found.first, _range(at.spent[found.first]), *estimate_cells(found.difference, "+.1f"),
             f"{found.improvement.value:.2f}"]
            for found in at.compared
        ]  # fmt: skip
        rows += [[level, "no evaluation", "-", "-", "-"] for level in at.too_dear]
        tables.append((f"Minus {result.levels[0]} at equal {at.unit}", columns, rows))
    rows = [
        [str(found.level), _range(found.overlap), *estimate_cells(found.difference, "+.1f"), "-"]
        for found in result.parameters
        if found.difference is not None
    ]
    if rows:
        tables.append((f"Minus {result.levels[0]} at equal parameters", columns, rows))
    return tables


def _range(ends: tuple[float, float]) -> str:
    """ "300k", or "57.3G to 438G"."""
    return " to ".join(dict.fromkeys(_amount(end) for end in ends))


def paper_tables(result: AgainstPaper) -> list[Table]:
    """The study's cells and the published rows, one below the other, never averaged."""
    rows = []
    for cell in result.cells:
        rows.append([str(cell.config.depth), "this study", *estimate_cells(cell.estimate), "-"])
        for beside in result.beside:
            if beside.cell is cell:
                row = beside.row
                difference = "-" if beside.difference is None else f"{beside.difference:+.1f}"
                spread = f"+- {row.spread:g} ({row.protocol.spread})"
                rows.append([str(row.depth), row.source, f"{row.time_at_goal:g}", spread, difference])
    columns = ["depth", "source", "at goal", "interval or spread", "difference"]
    tables = [(f"Time at goal on {result.task}", columns, rows)]
    if result.differs:
        lines = [[part, here, there] for part, (here, there) in result.differs.items()]
        tables.append(("What differs", ["protocol", "this study", "published"], lines))
    return tables


def observation_tables(result: ObservationSize) -> list[Table]:
    """One line a task."""
    rows = [
        [p.env, str(p.observation_size), *estimate_cells(p.advantage, "+.3f"),
         f"{p.depth.value:+.3f}", f"{p.width.value:+.3f}"]
        for p in result.points
    ]  # fmt: skip
    columns = ["task", "state", "depth - width", "95 % interval", "a doubled depth", "a doubled width"]
    return [("In shares of an episode; depth - width at equal parameters", columns, rows)]


def _amount(number: float) -> str:
    return f"{number:.3g}" if number < 1000 else short_number(number)
