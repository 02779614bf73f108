"""How do losses, entropy, gradients and updates of each cell go over training, and what became unstable?"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from crlscale import schema
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores, numbers
from crlscale.stats import finite_median

LOSSES = ("critic_loss", "actor_loss", "entropy")
NETWORKS = ("actor", "state_action", "goal", "critic", "survival")
GRADIENT, RATIO = "_gradient_norm", "_update_ratio"
_COLUMNS = {column.name for column in schema.METRICS}
_OF_NETWORKS = [network + kind for kind in (GRADIENT, RATIO) for network in NETWORKS]
METRICS = (*LOSSES, *(name for name in _OF_NETWORKS if name in _COLUMNS))


@dataclass(frozen=True)
class Trace:
    """One metric of one cell: `updates` [T]; `seeds` maps a run id to its means since the evaluation
    before [T], NaN where there are none; `median` over the seeds that are finite [T]."""

    cell: CellScore
    metric: str
    updates: np.ndarray
    seeds: dict[str, np.ndarray]
    median: np.ndarray


@dataclass(frozen=True)
class Onset:
    """Run `run_id` of `cell` is unstable by `kind` from `update` on (docs/extreme-depth.md)."""

    cell: CellScore
    run_id: str
    update: int
    kind: str

    @property
    def metric(self) -> str:
        """What tells it; a loss that is not finite is looked for in the critic's."""
        return "critic_loss" if self.kind == "nonfinite" else self.kind


@dataclass(frozen=True)
class Training:
    """The measured metrics of a study: `rows` of names, None where a network has no such metric.
    `watched` counts the runs of each cell (by its place among the cells) that looked for instability;
    `target_entropies` are those of the cells that have one [nat]."""

    study: str
    axes: tuple[str, ...]
    cells: tuple[CellScore, ...]
    rows: tuple[tuple[str | None, ...], ...]
    traces: tuple[Trace, ...]
    onsets: tuple[Onset, ...]
    watched: tuple[int, ...]
    target_entropies: tuple[float, ...]

    def of(self, metric: str) -> list[Trace]:
        return [trace for trace in self.traces if trace.metric == metric]

    def onsets_of(self, cell: CellScore) -> list[Onset]:
        return [onset for onset in self.onsets if onset.cell is cell]

    @property
    def sentence(self) -> str:
        """Which runs became unstable, when and by what."""
        if not any(self.watched):
            return "These runs did not look for instability: they are older than its rules."
        if not self.onsets:
            return f"None of {sum(self.watched)} runs became unstable by a rule."
        parts = []
        for cell, watched in zip(self.cells, self.watched, strict=True):
            if onsets := self.onsets_of(cell):
                first, last = (f(onset.update for onset in onsets) for f in (min, max))
                when = f"update {first}" if first == last else f"updates {first} to {last}"
                kinds = ", ".join(Counter(onset.kind for onset in onsets))
                runs = f"{len(onsets)} of {watched} run{'s' * (watched != 1)}"
                parts.append(f"{runs} at {cell.where} ({kinds}, from {when} on)")
        sound = sum(self.watched) - len(self.onsets)
        return f"Unstable by a rule: {'; '.join(parts)}; {sound or 'none'} of the runs stayed sound."


def training(scores: StudyScores, metrics) -> Training:
    """The traces from the frame of `store.read_metrics`; a study without them is a CrlscaleError."""
    scores.require_finished()
    known = metrics["run_id"][metrics[list(METRICS)].notna().any(axis=1)].unique()
    rows = dict(iter(metrics[metrics["run_id"].isin(known)].groupby("run_id", sort=False)))
    frames = {
        cell.config.run_id: {run.run_id: rows[run.run_id] for run in cell.scored if run.run_id in rows}
        for cell in scores.finished
    }
    cells = tuple(cell for cell in scores.finished if frames[cell.config.run_id])
    if not cells:
        raise CrlscaleError(
            f"study {scores.study.name!r} has no losses yet",
            value=scores.study.name,
            remedy=f"crlscale status {scores.study.name}",
        )
    of_cells = [(cell, frames[cell.config.run_id]) for cell in cells]
    traces = [_trace(cell, of, metric) for cell, of in of_cells for metric in METRICS]
    traces = [trace for trace in traces if np.isfinite(trace.median).any()]
    return Training(
        scores.study.name,
        tuple(scores.study.axes),
        cells,
        _layout({trace.metric for trace in traces}),
        tuple(traces),
        tuple(onset for cell, of in of_cells for onset in _onsets(cell, of)),
        tuple(sum(map(_is_watched, of.values())) for _, of in of_cells),
        _targets(of_cells),
    )


def has_losses(metrics) -> bool:
    """Whether the frame of `store.read_metrics` has a value of any metric of this analysis."""
    return bool(metrics[list(METRICS)].notna().any(axis=None))


def _layout(measured: set[str]) -> tuple[tuple[str | None, ...], ...]:
    """Losses above, then a column for each network; rows and columns without a metric are left out."""
    networks = [name for name in NETWORKS if {name + GRADIENT, name + RATIO} & measured]
    wanted = [LOSSES, *([name + kind for name in networks] for kind in (GRADIENT, RATIO))]
    known = [[metric if metric in measured else None for metric in row] for row in wanted]
    first = [metric for metric in known[0] if metric]
    return tuple(tuple(row) for row in (first, *known[1:]) if any(row))


def _trace(cell: CellScore, frames: dict, metric: str) -> Trace:
    points = {
        run_id: dict(zip(frame["gradient_steps"].astype(int), numbers(frame[metric]), strict=True))
        for run_id, frame in frames.items()
    }
    updates = sorted({update for of_run in points.values() for update in of_run if update > 0})
    seeds = {
        run_id: np.array([of_run.get(update, np.nan) for update in updates])
        for run_id, of_run in points.items()
    }
    return Trace(cell, metric, np.array(updates), seeds, finite_median(np.stack(list(seeds.values()))))


def _onsets(cell: CellScore, frames: dict) -> list[Onset]:
    """Of each run what its last row says, which may be earlier than what a row before it said: a low
    entropy is told when it has lasted."""
    found = []
    for run_id, frame in frames.items():
        last = frame.sort_values("evaluation").tail(1)
        if last["instability_onset"].notna().all():
            onset, kind = (last[name].iloc[0] for name in ("instability_onset", "instability_kind"))
            found.append(Onset(cell, run_id, int(onset), str(kind)))
    return found


def _is_watched(frame) -> bool:
    """Whether the run looked for instability: it measured update ratios, which came with the rules."""
    return any(frame[name].notna().any() for name in METRICS if name.endswith(RATIO))


def _targets(of_cells: list[tuple[CellScore, dict]]) -> tuple[float, ...]:
    """Target entropies of the cells that tune an entropy coefficient."""
    tuned = [
        cell.config
        for cell, frames in of_cells
        if any(frame["alpha"].notna().any() for frame in frames.values())
    ]
    wanted = {c.target_entropy * c.task.action_size * c.chunk_steps for c in tuned}
    return tuple(sorted(wanted))
