"""Losses, entropy, gradient norms and update ratios over updates, one line a cell, onsets marked."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from crlscale.analysis.training import GRADIENT, RATIO, Onset, Trace, Training
from crlscale.figures import style, words
from crlscale.study import tasks_of

WIDE = 30.0  # times: where magnitudes differ more than this a panel is logarithmic
ROOM = 0.03  # of the updates of a run
SEEN = 6  # cells whose seeds can still be told apart


@style.styled
def draw_training(result: Training) -> Figure:
    """A row of losses, one of gradient norms and one of update ratios, a column for each network."""
    columns = max(map(len, result.rows))
    figure = style.empty_figure(max(5.0, 2.6 * columns + 1.4), 1.9 * len(result.rows) + 0.8)
    panels = figure.subplots(len(result.rows), columns, squeeze=False)
    found = [{**look, "marker": None} for look in style.looks([cell.levels for cell in result.cells])]
    looks = {id(cell): look for cell, look in zip(result.cells, found, strict=True)}
    for row, metrics in zip(panels, result.rows, strict=True):
        drawn = []
        for axes, metric in zip(row, (*metrics, *[None] * (columns - len(metrics))), strict=True):
            if metric is None:
                axes.remove()
                continue
            _draw(axes, result, metric, looks)
            drawn.append(axes)
        if metrics[0] is None or metrics[0].endswith((GRADIENT, RATIO)):
            _share_limits(drawn)
    for axes in figure.axes:
        axes.set_xlabel("updates")
    title = f"{tasks_of(cell.config for cell in result.cells)}: training by {' and '.join(result.axes)}"
    figure.suptitle(title.replace("_", " "), x=0.01, ha="left", size=10)
    style.legend_beside(figure, result.cells, found, ", ".join(result.axes))
    style.caption(figure, _caption(result))
    return figure


def _draw(axes: Axes, result: Training, metric: str, looks: dict[int, dict]) -> None:
    traces = result.of(metric)
    log = _is_wide(traces)
    if metric == "entropy":
        for target in result.target_entropies:
            axes.axhline(target, color=style.palette().faint, linestyle=":", linewidth=1.2, zorder=1)
    for trace in traces:
        look, where = looks[id(trace.cell)], trace.cell.where
        if len(result.cells) <= SEEN:
            _draw_seeds(axes, trace, look, log)
        (line,) = axes.plot(
            trace.updates,
            _shown(trace.median, log),
            linewidth=1.6,
            zorder=4,
            **look,
        )
        told = zip(trace.updates, trace.median, strict=True)
        style.tell(line, [f"{where}, update {x:,}: median {words.exact(y)}" for x, y in told])
        for onset in result.onsets_of(trace.cell):
            if onset.metric == metric:
                _mark(axes, trace, onset, log)
    if log:
        axes.set_yscale("log")
    axes.set_title(_title(metric, log), size=9)
    room = ROOM if result.onsets else 0.0  # for a cross at update 0
    axes.set_xlim(-room * max(trace.updates[-1] for trace in traces), None)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_seeds(axes: Axes, trace: Trace, look: dict, log: bool) -> None:
    thin = {"color": look["color"], "linewidth": 0.5, "alpha": 0.45, "zorder": 2}
    for run_id, values in trace.seeds.items():
        (line,) = axes.plot(trace.updates, _shown(values, log), **thin)
        told = zip(trace.updates, values, strict=True)
        style.tell(line, [f"update {x:,}: {words.exact(y)}; run {run_id}" for x, y in told])


def _mark(axes: Axes, trace: Trace, onset: Onset, log: bool) -> None:
    """A cross where a run became unstable, at its next value, or its last one if there is none."""
    values = _shown(trace.seeds[onset.run_id], log)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return
    later = known[trace.updates[known] >= onset.update]
    height = values[later[0] if len(later) else known[-1]]
    colour = style.palette().orange
    (cross,) = axes.plot([onset.update], [height], "x", color=colour, markersize=5, zorder=6)
    style.tell(cross, [f"unstable from update {onset.update:,} on ({onset.kind}); run {onset.run_id}"])


def _shown(values: np.ndarray, log: bool) -> np.ndarray:
    """What is drawn: magnitudes on a logarithmic axis, which has no place for 0."""
    return np.where(values == 0, np.nan, np.abs(values)) if log else values


def _is_wide(traces: list[Trace]) -> bool:
    """Whether the largest magnitude is many times the lower quartile, so that a linear axis would
    press most of the values into one line."""
    values = np.abs(np.concatenate([trace.median for trace in traces]))
    values = values[np.isfinite(values) & (values > 0)]
    return len(values) > 0 and values.max() > WIDE * np.quantile(values, 0.25)


def _share_limits(row: list[Axes]) -> None:
    """One y axis for the networks of a row: all logarithmic if one is."""
    if any(axes.get_yscale() == "log" for axes in row):
        for axes in row:
            axes.set_yscale("log")
    limits = np.array([axes.get_ylim() for axes in row])
    for axes in row:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def _title(metric: str, log: bool) -> str:
    for kind in (GRADIENT, RATIO):
        if metric.endswith(kind):
            return f"{metric.removesuffix(kind)}: {kind[1:]}".replace("_", " ")
    name = metric.replace("_", " ")
    name = f"magnitude of {name}" if log and metric != "critic_loss" else name
    return f"{name} [nat]" if metric == "entropy" else name


def _caption(result: Training) -> str:
    shown = len(result.cells) <= SEEN
    targets = ", ".join(f"{target:g}" for target in result.target_entropies)
    return words.sentences(
        f"lines: medians over {words.seeds_words(result.cells, 'cell')}, without interval"
        + ("; thin: seeds" if shown else f"; no seeds: {len(result.cells)} cells would hide them"),
        "a point is the mean over the updates since the evaluation before",
        f"dotted: target entropy {targets} nat" if targets and result.of("entropy") else "",
        "cross: first update of what is unstable by a rule of docs/extreme-depth.md"
        if result.onsets
        else (
            "no run is unstable by a rule" if any(result.watched) else "instability was not looked for"
        ),
        words.budget_words(result.cells),
        f"study {result.study}",
    )
