"""How do activations and gradients go through the blocks of each network, before and after training?"""

from dataclasses import dataclass

import numpy as np

from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import finite_median

NORMS = ("stream_norm", "branch_norm", "gradient_norm", "parameter_norm", "update_ratio")
WHEN = ("before training", "at the last evaluation")


@dataclass(frozen=True)
class BlockLine:
    """One network of one cell at one time, a name of WHEN: `seeds` maps a run id to its gradient norms
    [K], `norms` each of NORMS to the medians over the seeds [K], NaN where all are."""

    cell: CellScore
    network: str
    when: str
    norms: dict[str, np.ndarray]
    seeds: dict[str, np.ndarray]


@dataclass(frozen=True)
class BlockNorms:
    """All lines of a study, cell by cell in the order of the plan."""

    study: str
    axes: tuple[str, ...]
    networks: tuple[str, ...]
    lines: tuple[BlockLine, ...]

    def of(self, network: str, when: str) -> list[BlockLine]:
        return [line for line in self.lines if (line.network, line.when) == (network, when)]

    @property
    def sentence(self) -> str:
        """Where gradients differ most between the blocks of one network, at the last evaluation."""
        last = [line for line in self.lines if line.when == WHEN[-1]]
        ratios = [_spread(line.norms["gradient_norm"]) for line in last]
        if not np.isfinite(ratios).any():
            return "No gradient is finite in all blocks at the last evaluation."
        worst = int(np.nanargmax(ratios))
        return (
            f"Between the blocks of one network gradient norms differ most in the {last[worst].network}"
            f" network at {last[worst].cell.where}: {ratios[worst]:,.3g} times, at the last evaluation (medians over"
            " seeds, no interval)."
        )


def block_norms(scores: StudyScores, blocks) -> BlockNorms:
    """The lines from the frame of `store.read_blocks`; a study without its rows is a CrlscaleError."""
    scores.require_finished()
    rows = dict(iter(blocks.groupby("run_id", sort=False)))
    cells = [cell for cell in scores.finished if any(run.run_id in rows for run in cell.scored)]
    if not cells:
        raise CrlscaleError(
            f"study {scores.study.name!r} has no rows by block: older runs did not measure them",
            value=scores.study.name,
            remedy=f"crlscale runs redo {scores.study.name} '*', and the sweep again",
        )
    lines, networks = [], {}
    for cell in cells:
        frames = {run.run_id: rows[run.run_id] for run in cell.scored if run.run_id in rows}
        names = list(dict.fromkeys(next(iter(frames.values()))["network"]))
        networks |= dict.fromkeys(names)
        lines += [_line(cell, network, when, frames) for network in names for when in WHEN]
    measured = tuple(line for line in lines if len(line.norms[NORMS[0]]))
    return BlockNorms(scores.study.name, tuple(scores.study.axes), tuple(networks), measured)


def _line(cell: CellScore, network: str, when: str, frames: dict) -> BlockLine:
    seeds = {}
    for run_id, frame in frames.items():
        own = frame[frame["network"] == network]
        evaluation = 0 if when == WHEN[0] else own["evaluation"].max()
        at = own[own["evaluation"] == evaluation].sort_values("block")
        seeds[run_id] = {norm: at[norm].to_numpy(dtype=float) for norm in NORMS}
    norms = {norm: _median([found[norm] for found in seeds.values()]) for norm in NORMS}
    gradients = {run_id: found["gradient_norm"] for run_id, found in seeds.items()}
    return BlockLine(cell, network, when, norms, gradients)


def _median(seeds: list[np.ndarray]) -> np.ndarray:
    """Median over the seeds, block by block; those that were not measured then (no rows) do not count."""
    size = max(map(len, seeds))
    return finite_median(np.array([found for found in seeds if len(found) == size]))


def _spread(norms: np.ndarray) -> float:
    """The largest by the smallest; NaN if one is not finite or 0."""
    good = np.isfinite(norms).all() and norms.min() > 0
    return float(norms.max() / norms.min()) if good else float("nan")
