"""Gradient norm over the blocks of each network, one line a cell, before training and at its end."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crlscale.analysis.block_norms import WHEN, BlockLine, BlockNorms
from crlscale.figures import style, words
from crlscale.study import tasks_of

MARKED = 32  # so many blocks can be marked one by one


@style.styled
def draw_block_norms(result: BlockNorms) -> Figure:
    """A column of panels for each network: above before training, below at the last evaluation."""
    columns = len(result.networks)
    figure = style.empty_figure(max(5.0, 2.6 * columns + 1.4), 5.2)
    panels = figure.subplots(2, columns, squeeze=False, sharex="col", sharey="row")
    cells = tuple({id(line.cell): line.cell for line in result.lines}.values())
    found = style.looks([cell.levels for cell in cells])
    looks = {id(cell): look for cell, look in zip(cells, found, strict=True)}
    for row, when in zip(panels, WHEN, strict=True):
        for axes, network in zip(row, result.networks, strict=True):
            _draw(axes, result.of(network, when), looks)
        row[0].set_ylabel(f"gradient norm\n{when}")
    for axes, network in zip(panels[0], result.networks, strict=True):
        axes.set_title(network.replace("_", " "), size=9)
    for axes in panels[-1]:
        axes.set_xlabel("block [index from the input]")
    tasks = tasks_of(cell.config for cell in cells)
    title = f"{tasks}: gradients block by block, by {' and '.join(result.axes)}"
    figure.suptitle(title.replace("_", " "), x=0.01, ha="left", size=10)
    style.legend_beside(figure, cells, found, ", ".join(result.axes))
    style.caption(
        figure,
        words.sentences(
            f"lines: medians over {words.seeds_words(cells, 'cell')}, without interval; thin: seeds",
            "L2 norm of a block's share of the gradient from one batch, not clipped",
            words.budget_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def _draw(axes: Axes, lines: list[BlockLine], looks: dict[int, dict]) -> None:
    for line in lines:
        look, where = looks[id(line.cell)], line.cell.where
        for run_id, values in line.seeds.items():
            thin = {"color": look["color"], "linewidth": 0.5, "alpha": 0.4, "zorder": 2}
            (seed,) = axes.plot(range(len(values)), values, **thin)
            told = [f"block {k}: {words.exact(y)}; run {run_id}" for k, y in enumerate(values)]
            style.tell(seed, told)
        median = line.norms["gradient_norm"]
        size = 3 if len(median) <= MARKED else 0
        (drawn,) = axes.plot(
            range(len(median)), median, linewidth=1.4, markersize=size, zorder=4, **look
        )
        told = [f"{where}, block {k}: median {words.exact(y)}" for k, y in enumerate(median)]
        style.tell(drawn, told)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
