"""Tables of the analyses of scale: batch size, actor and critic, limits, the surface, learning curves."""

from crlscale.analysis.actor_critic import ActorCritic
from crlscale.analysis.batch import BatchByDepth
from crlscale.analysis.curve_summary import CurveSummaries, Threshold
from crlscale.analysis.frontier import Front
from crlscale.analysis.gains import MethodGain, MethodGains
from crlscale.analysis.limits import Limits
from crlscale.analysis.surface import Surface
from crlscale.analysis.two_way import TwoWay
from crlscale.report.findings import Table, estimate_cells, seeds_cell
from crlscale.report.table import SHORT, short_number
from crlscale.score import CellScore
from crlscale.study import tasks_of


def batch_tables(result: BatchByDepth) -> list[Table]:
    """The grid, then the gain of a doubled batch and the critical batch size at each depth."""
    rows = []
    for slope in result.grid.slopes:
        found = result.critical.get(slope.level)
        critical = "-" if found is None else (str(found.level) if found.level else found.verdict)
        margin = "-" if found is None else f"{found.margin:.1f}"
        rows.append([str(slope.level), *estimate_cells(slope.change, "+.2f"), critical, margin])
    columns = ["depth", "steps a doubled batch", "95 % interval", "critical batch", "margin"]
    return [_grid_table(result.grid), ("Batch size by depth", columns, rows)]


def actor_critic_tables(result: ActorCritic) -> list[Table]:
    """The grid, the effects, and the pairs that test the rule of half the depth."""
    actor, critic = result.grid.main
    effects = [
        ["actor", actor],
        ["critic", critic],
        ["both", result.joint],
        ["critic - actor", result.difference],
    ]
    tables = [
        _grid_table(result.grid),
        (
            "What a doubling of depth brings",
            ["of", "steps", "95 % interval"],
            [[name, *estimate_cells(found, "+.1f")] for name, found in effects],
        ),
    ]
    if result.half is not None:
        pairs = [*result.half.pairs, ("average", result.half.average)]
        rows = [[str(depth), *estimate_cells(found, "+.1f")] for depth, found in pairs]
        columns = ["critic depth", "steps", "95 % interval"]
        tables.append(("Actor of half the critic's depth minus equal depths", columns, rows))
    return tables


def limits_tables(result: Limits) -> list[Table]:
    """The levels with their gains, then the laws."""
    about = result.saturation
    gains = {gain.depth: (gain, limit) for gain, limit in zip(about.gains, about.limits, strict=True)}
    rows = []
    for cell in result.cells:
        gain, limit = gains.get(cell.levels[result.axis], (None, None))
        rows.append([
            str(cell.levels[result.axis]), *estimate_cells(cell.estimate), seeds_cell(cell),
            "-" if gain is None else f"{gain.change.value:+.1f}",
            "-" if limit is None else f"{limit:+.1f}", cell.note,
        ])  # fmt: skip
    env = result.cells[0].config.env
    tables = [
        (
            f"Gain to the next level on {env}{held(result.fixed)}, margin {about.margin:.1f} steps",
            [result.axis, "IQM", "95 % interval", "seeds", "gain", "at most", "note"],
            rows,
        )
    ]
    laws = []
    for law in result.laws:
        ahead = law.predictions[0]
        laws.append([
            law.name, law.formula, f"{law.bic:.1f}",
            "-" if law.p_value is None else f"{law.p_value:.3f}", f"{ahead.value:.1f}",
            f"{ahead.low:.1f} to {ahead.high:.1f}", "misses" if law.misses else "holds",
        ])  # fmt: skip
    if laws:
        ahead = f"at {result.laws[0].predictions[0].level}"
        columns = ["law", "formula", "BIC", "fit p", ahead, "95 % prediction", "check"]
        tables.append(("Laws, best first", columns, laws))
    return tables


def surface_tables(result: Surface) -> list[Table]:
    """The best cell at each budget of training FLOPs, and where the next unit of compute would go."""
    tables = [
        front_table(found) for found in result.fronts if found.cost in ("training_flops", "hours")
    ]
    rows = [
        [d.axis, *estimate_cells(d.slope, "+.1f"), f"{d.factor:.2f}", f"{d.per_doubling.value:+.1f}",
         "beyond the grid" if d.beyond else ""]
        for d in result.directions
    ]  # fmt: skip
    columns = ["axis", "steps a doubling", "95 % interval", "FLOPs x", "a doubling of FLOPs", "note"]
    return [*tables, ("From the best cell", columns, rows)]


def gains_tables(result: MethodGains) -> list[Table]:
    """What a doubling brings each method, and what it costs."""
    levels = sorted({cell.levels[result.scale] for m in result.methods for cell in m.cells})
    name = SHORT.get(result.scale, result.scale)
    first = result.methods[0]
    gains, costs = [], []
    for method in result.methods:
        at = {cell.levels[result.scale]: cell.estimate.value for cell in method.cells}
        p = "-" if method.corrected is None else f"{method.corrected:.3f}"
        gains.append([
            str(method.level), *(f"{at[level]:.1f}" if level in at else "-" for level in levels),
            *estimate_cells(method.slope, "+.2f"), p, method.verdict,
        ])  # fmt: skip
        costs.append([
            str(method.level), *_growths(method), *estimate_cells(method.against_largest, "+.1f"),
        ])  # fmt: skip
    env = first.cells[0].config.env
    largest = f"{first.level} at {first.cells[-1].levels[result.scale]}"
    return [
        (
            f"Time at goal on {env}{held(result.fixed)} by {name}; steps a doubling",
            [
                result.axis,
                *(f"{name} {level}" for level in levels),
                "slope",
                "95 %",
                "p (Holm)",
                "verdict",
            ],
            gains,
        ),
        (
            f"Cost of {name} {levels[-1]} over {levels[0]}; smallest minus {largest}",
            [result.axis, "layers", "params x", "FLOPs x", "hours x", "steps", "95 %"],
            costs,
        ),
    ]


def _growths(method: MethodGain) -> list[str]:
    """Trunk layers (actor + critics) of the smallest and the largest cell, and what grew how often."""
    layers = " to ".join(f"{actor}+{critics}" for actor, critics in method.layers)
    return [layers, *("-" if x is None else f"{x:.1f}" for x in method.growth.values())]


def curves_tables(result: CurveSummaries) -> list[Table]:
    """One line a cell: the area under its curve and the env steps to each threshold."""
    goals = [found.score for found in result.cells[0].thresholds]
    rows = []
    for found in result.cells:
        reached = [_reached(threshold) for threshold in found.thresholds]
        levels = [str(level) for level in found.cell.levels.values()]
        rows.append([*levels, *estimate_cells(found.area), *reached, str(len(found.collapses))])
    columns = [*(SHORT.get(axis, axis) for axis in result.axes), "area", "95 % interval"]
    columns += [*(f"to {goal:.1f}" for goal in goals), "collapsed"]
    env = tasks_of(found.cell.config for found in result.cells)
    return [(f"Learning on {env}: mean score over training, env steps to a score", columns, rows)]


def _reached(found: Threshold) -> str:
    """Median env steps, and how many runs reached it if not all did."""
    text = "-" if found.median is None else short_number(found.median)
    return text if found.reached == found.runs else f"{text} ({found.reached}/{found.runs})"


def front_table(found: Front) -> Table:
    """One line a budget at which the best cell changes."""
    rows = []
    for best in found.best:
        at = ", ".join(f"{SHORT.get(axis, axis)} {level}" for axis, level in best.cell.levels.items())
        value, interval = estimate_cells(best.cell.estimate)
        lead = "-" if best.lead is None else estimate_cells(best.lead, "+.1f")[1]
        rows.append([_cost(best.budget), at, value, interval, f"{100 * best.share:.0f} %", lead])
    columns = [found.cost, "best cell", "IQM", "95 % interval", "sure", "lead on the next"]
    return f"Best cell at each budget: {found.unit}", columns, rows


def _grid_table(grid: TwoWay) -> Table:
    """The IQM of each cell with its interval, rows down and columns across."""
    rows = [
        [str(level), *(_short(cell) for cell in row)]
        for level, row in zip(grid.levels[0], grid.cells, strict=True)
    ]
    down, across = (SHORT.get(axis, axis) for axis in (grid.down, grid.across))
    config = grid.flat[0].config
    title = f"Time at goal on {config.env}{held(grid.fixed)}, steps of {config.episode_length}: {across} across"
    return title, [down, *map(str, grid.levels[1])], rows


def held(fixed: dict) -> str:
    """The levels of the axes that are held, to follow a title."""
    return "".join(f", {axis} {level}" for axis, level in fixed.items())


def _short(cell: CellScore | None) -> str:
    if cell is None:
        return "-"
    found = cell.estimate
    text = f"{found.value:.1f}"
    if found.low is not None:
        text += f" [{found.low:.1f}, {found.high:.1f}]"
    return text + (f" {cell.diverged} div." if cell.diverged else "")


def _cost(cost: float) -> str:
    return f"{cost:.3g}" if cost < 1000 else short_number(cost)
