"""Every kind of finding: which studies have it, and how it is made from what they stored."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crlscale.analysis.critical_depth import DEPTH_AXES, critical_depths
from crlscale.analysis.goal_cells import goal_maps
from crlscale.analysis.learning_curves import learning_curves
from crlscale.analysis.profiles import performance_profiles
from crlscale.analysis.run_costs import measure_costs
from crlscale.analysis.width_vs_depth import compare_families
from crlscale.figures.critical_depth import draw_critical_depth
from crlscale.figures.goal_cells import draw_goal_maps
from crlscale.figures.learning_curves import draw_learning_curves
from crlscale.figures.profiles import draw_profiles
from crlscale.figures.run_costs import draw_costs
from crlscale.figures.width_vs_depth import draw_width_vs_depth
from crlscale.report import findings, measures
from crlscale.report.finding import Finding, Loaded, Picture


@dataclass(frozen=True)
class Kind:
    """`applies` is asked before `find`, which may still refuse a study with a CrlscaleError."""

    applies: Callable[[Loaded], bool]
    find: Callable[[Loaded], Finding]


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


def _of(fixed: dict) -> str:
    return f"At {', '.join(f'{axis} {level}' for axis, level in fixed.items())}: " if fixed else ""


def _has_mazes(loaded: Loaded) -> bool:
    mazes = {config.task.maze for config in loaded.scores.study.configs.values()}
    return len(mazes) == 1 and None not in mazes and len(loaded.goals) > 0


def _has_both(loaded: Loaded) -> bool:
    levels = [len({cell.levels[axis] for cell in loaded.scores.finished}) if axis in loaded.axes else 0
              for axis in ("depth", "width")]  # fmt: skip
    return min(levels) > 1


KINDS: dict[str, Kind] = {
    "critical-depth": Kind(
        lambda loaded: any(axis in loaded.axes for axis in DEPTH_AXES), find_critical_depth
    ),
    "depth-vs-width": Kind(_has_both, find_width_vs_depth),
    "learning-curves": Kind(lambda loaded: True, find_learning_curves),
    "profiles": Kind(lambda loaded: True, find_profiles),
    "goal-cells": Kind(_has_mazes, find_goal_maps),
    "cost": Kind(lambda loaded: True, find_costs),
}
