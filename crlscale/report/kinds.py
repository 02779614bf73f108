"""Every kind of finding: which studies have it, and how it is made from what they stored."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from crlscale.analysis.actor_critic import AXES as ACTOR_CRITIC_AXES
from crlscale.analysis.actor_critic import actor_critic
from crlscale.analysis.batch import batch_by_depth
from crlscale.analysis.block_norms import block_norms
from crlscale.analysis.critical_depth import DEPTH_AXES, critical_depths
from crlscale.analysis.gains import method_gains
from crlscale.analysis.goal_cells import goal_maps
from crlscale.analysis.learning_curves import learning_curves
from crlscale.analysis.limits import AXES as LIMIT_AXES
from crlscale.analysis.limits import limits
from crlscale.analysis.profiles import performance_profiles
from crlscale.analysis.published import against_paper
from crlscale.analysis.run_costs import measure_costs
from crlscale.analysis.surface import AXES as SURFACE_AXES
from crlscale.analysis.surface import surfaces
from crlscale.analysis.training import has_losses, training
from crlscale.analysis.width_vs_depth import compare_families
from crlscale.figures.block_norms import draw_block_norms
from crlscale.figures.critical_depth import draw_critical_depth
from crlscale.figures.gains import draw_gains
from crlscale.figures.goal_cells import draw_goal_maps
from crlscale.figures.learning_curves import draw_learning_curves
from crlscale.figures.limits import draw_limits
from crlscale.figures.paper import draw_paper
from crlscale.figures.profiles import draw_profiles
from crlscale.figures.run_costs import draw_costs
from crlscale.figures.surface import draw_surface
from crlscale.figures.training import draw_training
from crlscale.figures.two_way import draw_actor_critic, draw_batch_by_depth
from crlscale.figures.width_vs_depth import draw_width_vs_depth
from crlscale.report import findings, measures, scaling
from crlscale.report.comparisons import paper_tables
from crlscale.report.finding import Finding, Loaded, Picture
from crlscale.report.records import record
from crlscale.score import DIVERGED_SENTENCES

MEASURED = {
    "last": "Diverged runs are drawn as far as they were measured.",
    "zero": "Diverged runs are drawn as far as they were measured.",
    "drop": "Diverged runs are left out.",
}


@dataclass(frozen=True)
class Kind:
    """`applies` is asked before `make`, which may still refuse a study with a CrlscaleError. `says`
    maps each rule for diverged runs to what it means for the figures."""

    applies: Callable[[Loaded], bool]
    make: Callable[[Loaded], Finding]
    says: dict[str, str] = field(default_factory=lambda: DIVERGED_SENTENCES)

    def find(self, loaded: Loaded, *more: Loaded) -> Finding:
        """The finding; where runs diverged, its captions say what became of them. `more`: other
        studies that it is about."""
        found = self.make(loaded, *more)
        diverged = any(one.scores.diverged_runs for one in (loaded, *more))
        return found.noting(self.says[loaded.scores.diverged]) if diverged else found


def find_critical_depth(loaded: Loaded) -> Finding:
    found = critical_depths(loaded.scores, np.random.default_rng(0))
    pictures = []
    for result in found:
        held = [f"{axis}-{level}" for axis, level in result.fixed.items()]
        pictures.append(Picture("-".join(["critical-depth", *held]), draw_critical_depth, result))
    return Finding(
        kind="critical-depth",
        title="Critical depth",
        sentences=tuple(_of(result.fixed) + result.sentence for result in found),
        tables=tuple(findings.critical_depth_table(result) for result in found),
        records=tuple(findings.critical_depth_record(result) for result in found),
        pictures=tuple(pictures),
    )


def find_width_vs_depth(loaded: Loaded, width: Loaded | None = None) -> Finding:
    """Depth of `loaded` against width of `width`, or of the same study."""
    found = compare_families(loaded.scores, (width or loaded).scores)
    return Finding(
        kind="depth-vs-width",
        title="Depth against width at equal cost",
        sentences=(found.sentence,),
        tables=tuple(findings.width_vs_depth_tables(found)),
        records=(findings.width_vs_depth_record(found),),
        pictures=(Picture("width-vs-depth", draw_width_vs_depth, found),),
    )


def find_learning_curves(loaded: Loaded) -> Finding:
    found = learning_curves(loaded.scores, loaded.metrics)
    return Finding(
        kind="learning-curves",
        title="Learning curves",
        sentences=(),
        tables=(findings.learning_curve_table(found),),
        records=tuple(findings.learning_curve_records(found)),
        pictures=(Picture("learning-curves", draw_learning_curves, found),),
    )


def find_costs(loaded: Loaded) -> Finding:
    found = measure_costs(loaded.scores, loaded.metrics)
    return Finding(
        kind="cost",
        title="What a run cost",
        sentences=(found.sentence,),
        tables=(measures.costs_table(found),),
        records=tuple(measures.costs_records(found)),
        pictures=(Picture("cost", draw_costs, found),),
    )


def find_profiles(loaded: Loaded) -> Finding:
    found = performance_profiles(loaded.scores)
    return Finding(
        kind="profiles",
        title="Performance profiles",
        sentences=(),
        tables=(measures.profiles_table(found),),
        records=tuple(measures.profiles_records(found)),
        pictures=(Picture("profiles", draw_profiles, found),),
    )


def find_goal_maps(loaded: Loaded) -> Finding:
    found = goal_maps(loaded.scores, loaded.goals)
    return Finding(
        kind="goal-cells",
        title="Goal by goal",
        sentences=(found.sentence,),
        tables=(measures.goal_maps_table(found),),
        records=tuple(measures.goal_maps_records(found)),
        pictures=(Picture("goal-cells", draw_goal_maps, found),),
    )


def find_blocks(loaded: Loaded) -> Finding:
    found = block_norms(loaded.scores, loaded.blocks)
    return Finding(
        kind="blocks",
        title="Gradients block by block",
        sentences=(found.sentence,),
        tables=(measures.block_norms_table(found),),
        records=tuple(measures.block_norms_records(found)),
        pictures=(Picture("blocks", draw_block_norms, found),),
    )


def find_training(loaded: Loaded) -> Finding:
    found = training(loaded.scores, loaded.metrics)
    return Finding(
        kind="training",
        title="Training",
        sentences=(found.sentence,),
        tables=(measures.training_table(found),),
        records=tuple(measures.training_records(found)),
        pictures=(Picture("training", draw_training, found),),
    )


def find_batch(loaded: Loaded) -> Finding:
    found = batch_by_depth(loaded.scores, np.random.default_rng(0))
    fixed = [result.grid.fixed for result in found]
    about = ("batch-by-depth", "Batch size by depth", scaling.batch_tables, draw_batch_by_depth)
    return _scaling(found, fixed, *about)


def find_actor_critic(loaded: Loaded) -> Finding:
    found = actor_critic(loaded.scores, np.random.default_rng(0))
    fixed = [result.grid.fixed for result in found]
    about = ("actor-critic", "Actor against critic", scaling.actor_critic_tables, draw_actor_critic)
    return _scaling(found, fixed, *about)


def find_methods(loaded: Loaded) -> Finding:
    found = method_gains(loaded.scores)
    about = ("methods", "Which methods gain from depth", scaling.gains_tables, draw_gains)
    return _scaling(found, [result.fixed for result in found], *about)


def find_limits(loaded: Loaded) -> Finding:
    found = limits(loaded.scores, np.random.default_rng(0))
    about = ("limits", "Where gains end", scaling.limits_tables, draw_limits)
    return _scaling(found, [result.fixed for result in found], *about)


def find_surface(loaded: Loaded) -> Finding:
    found = surfaces(loaded.scores, np.random.default_rng(0))
    about = ("surface", "Depth, width and batch size together", scaling.surface_tables, draw_surface)
    return _scaling(found, [result.fixed for result in found], *about)


def _scaling(found: list, fixed: list[dict], kind: str, title: str, tables, draw) -> Finding:
    """A finding of results of one analysis, one for each combination of the other axes in `fixed`."""
    stems = ["-".join([kind, *(f"{axis}-{level}" for axis, level in held.items())]) for held in fixed]
    return Finding(
        kind=kind,
        title=title,
        sentences=tuple(_of(held) + result.sentence for held, result in zip(fixed, found, strict=True)),
        tables=tuple(table for result in found for table in tables(result)),
        records=tuple(record(result) for result in found),
        pictures=tuple(Picture(stem, draw, result) for stem, result in zip(stems, found, strict=True)),
    )


def find_paper(loaded: Loaded) -> Finding:
    found = against_paper(loaded.scores, loaded.versions)
    return Finding(
        kind="paper",
        title="Beside the published tables",
        sentences=(found.sentence,),
        tables=tuple(paper_tables(found)),
        records=(record(found),),
        pictures=(Picture("paper", draw_paper, found),),
    )


def _of(fixed: dict) -> str:
    return f"At {', '.join(f'{axis} {level}' for axis, level in fixed.items())}: " if fixed else ""


def _has_mazes(loaded: Loaded) -> bool:
    mazes = {config.task.maze for config in loaded.scores.study.configs.values()}
    return len(mazes) == 1 and None not in mazes and len(loaded.goals) > 0


def _has_gains(loaded: Loaded) -> bool:
    """Whether some agent has scores at two depths, all other axes alike."""
    if not {"agent", "depth"} <= loaded.axes.keys():
        return False
    sides = [
        tuple(level for axis, level in cell.levels.items() if axis != "depth")
        for cell in loaded.scores.finished
    ]
    return len(set(sides)) < len(sides)


def _has_blocks(loaded: Loaded) -> bool:
    known = set(loaded.blocks["run_id"])
    return any(run.run_id in known for cell in loaded.scores.finished for run in cell.scored)


def _levels(*axes: str, count: int = 2) -> Callable[[Loaded], bool]:
    """Whether a study has `count` scored levels at least of each of `axes`."""

    def applies(loaded: Loaded) -> bool:
        known = [axis for axis in axes if axis in loaded.axes]
        counts = [len({cell.levels[axis] for cell in loaded.scores.finished}) for axis in known]
        return len(known) == len(axes) and min(counts) >= count

    return applies


def _has_depths(loaded: Loaded) -> bool:
    return any(_levels(axis, count=3)(loaded) for axis in DEPTH_AXES)


def _has_limits(loaded: Loaded) -> bool:
    known = [axis for axis in LIMIT_AXES if axis in loaded.axes]
    if not known or not _levels(known[0], count=3)(loaded):
        return False
    return all(isinstance(level, int) for level in loaded.axes[known[0]])


def _has_surface(loaded: Loaded) -> bool:
    known = [axis for axis in SURFACE_AXES if axis in loaded.axes]
    return len(known) > 1 and all(_levels(axis)(loaded) for axis in known)


def _has_published(loaded: Loaded) -> bool:
    return bool(against_paper(loaded.scores).beside)


KINDS: dict[str, Kind] = {
    "critical-depth": Kind(_has_depths, find_critical_depth),
    "depth-vs-width": Kind(_levels("depth", "width"), find_width_vs_depth),
    "batch-by-depth": Kind(_levels("depth", "batch_size"), find_batch),
    "actor-critic": Kind(_levels(*ACTOR_CRITIC_AXES), find_actor_critic),
    "methods": Kind(_has_gains, find_methods),
    "limits": Kind(_has_limits, find_limits),
    "surface": Kind(_has_surface, find_surface),
    "paper": Kind(_has_published, find_paper),
    "learning-curves": Kind(lambda loaded: True, find_learning_curves, MEASURED),
    "profiles": Kind(lambda loaded: True, find_profiles),
    "goal-cells": Kind(_has_mazes, find_goal_maps, MEASURED),
    "training": Kind(lambda loaded: has_losses(loaded.metrics), find_training, MEASURED),
    "blocks": Kind(_has_blocks, find_blocks, MEASURED),
    "cost": Kind(
        lambda loaded: True, find_costs, dict.fromkeys(MEASURED, "Diverged runs are left out.")
    ),
}
