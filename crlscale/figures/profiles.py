"""The share of seeds that score at least a threshold, one line a cell."""

import numpy as np
from matplotlib.figure import Figure

from crlscale.analysis.profiles import Profiles
from crlscale.figures import style, words
from crlscale.study import tasks_of


@style.styled
def draw_profiles(result: Profiles) -> Figure:
    """The whole figure, with title, legend and caption."""
    figure, (axes,) = style.new_figure(7.2, 4.2)
    cells = tuple(profile.cell for profile in result.profiles)
    looks = style.looks([cell.levels for cell in cells])
    for profile, look in zip(result.profiles, looks, strict=True):
        label = ", ".join(str(level) for level in profile.cell.levels.values())
        shown = {key: look[key] for key in ("color", "linestyle")}
        axes.plot(result.thresholds, profile.shares, drawstyle="steps-pre", linewidth=1.6, zorder=3,
                  label=label, **shown)  # fmt: skip
        marks = _seed_marks(result, profile)
        (points,) = axes.plot(*marks, look["marker"], color=look["color"], markersize=4, zorder=4)
        runs = sorted(profile.cell.scored, key=lambda run: run.score)
        style.tell(
            points,
            [
                f"{words.run_words(profile.cell, run)}; share {words.exact(share)}"
                for run, share in zip(runs, marks[1], strict=True)
            ],
        )
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(0, None)
    axes.set_xlabel(f"threshold: {words.score_label(*cells)}")
    axes.set_ylabel("share of seeds that score at least this")
    tasks = tasks_of(cell.config for cell in cells)
    axes.set_title(f"{tasks}: performance profiles by {' and '.join(result.axes)}")
    style.legend_beside(figure, cells, looks, ", ".join(result.axes))
    style.caption(
        figure,
        words.sentences(
            f"marks: seeds, {words.seeds_words(cells, 'cell')}",
            _interval_words(result),
            words.budget_words(cells),
            words.missing_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def _interval_words(result: Profiles) -> str:
    """The interval of the shares, by the number of seeds, without drawing what hides the lines."""
    middle = {}
    for profile in result.profiles:
        seeds = len(profile.cell.scores)
        at = int(np.argmin(abs(profile.shares - 0.5)))
        count = round(profile.shares[at] * seeds)
        bounds = f"{100 * profile.low[at]:.0f} to {100 * profile.high[at]:.0f} %"
        middle.setdefault(seeds, f"{count} of {seeds} is {bounds}")
    return f"95 % Clopper-Pearson interval of a share, not drawn: {'; '.join(middle.values())}"


def _seed_marks(result: Profiles, profile) -> tuple[list, list]:
    """Each seed's score and the share of seeds that score as much, by rising score."""
    scores = sorted(profile.cell.scores.tolist())
    share = dict(zip(result.thresholds.tolist(), profile.shares.tolist(), strict=True))
    return scores, [share[score] for score in scores]
