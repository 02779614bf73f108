"""Small studies with invented scores, written with the store's own writer."""

from pathlib import Path

import numpy as np

from crlscale.plan import plan_study
from crlscale.store import write_json, write_metrics
from crlscale.study import Study, register_study


def write_study(results: Path, axes: dict, score, *, seeds: int = 3, outcome=None, **plan) -> Path:
    """Write a finished study of `axes`; returns its folder.

    `score(config, rng)` is the time at goal of the last evaluations of a run; `outcome` maps
    (levels..., seed) to a status other than complete."""
    study = plan_study(axes, seeds=seeds, preset=plan.pop("preset", "smoke"), **plan)
    folder, study = register_study(results, study)
    for config in study.configs.values():
        key = (*(getattr(config, axis) for axis in axes), config.seed)
        write_run(folder, study, config, score, (outcome or {}).get(key, "complete"))
    return folder


def write_run(folder: Path, study: Study, config, score, status: str) -> None:
    """One run: its status, and the rows of a run that rises to its score."""
    if status == "planned":
        return
    run = folder / "runs" / config.run_id
    final = score(config, np.random.default_rng([config.seed, config.depth, config.width]))
    rows = [_row(config, index, final) for index in range(config.evaluations + 1)]
    if status == "diverged":
        rows[-1]["time_at_goal_all"] = float("nan")
    if status in ("running", "failed", "stopped"):
        rows = rows[:-1]
    write_metrics(run, rows, {"run_id": config.run_id, "study": study.name, "status": status})
    write_json(run / "status.json", {"schema_version": 1, "status": status})


def _row(config, index: int, final: float) -> dict:
    updates = index * config.phases_per_epoch * config.updates
    share = min(1.0, 1.5 * index / config.evaluations)
    return {
        "run_id": config.run_id,
        "env": config.env,
        "seed": config.seed,
        "depth": config.depth,
        "actor_depth": config.actor_layers,
        "critic_depth": config.critic_layers,
        "width": config.width,
        "batch_size": config.batch_size,
        "evaluation": index,
        "env_steps": config.prefill_env_steps
        + index * config.phases_per_epoch * config.phase_env_steps,
        "gradient_steps": updates,
        "time_at_goal_all": final if share == 1.0 else float(final * share),
        "updates_per_second": None if index == 0 else 4000.0 / config.depth,
        "train_seconds": updates * config.depth * config.width / 100.0,
        "cpu_seconds": 5.0 + updates * config.depth * config.width / 80.0,
        "program_runs": 1,
    }


def saturating(config, rng) -> float:
    """Rises to about 28 of 50 by depth 8 and with the width."""
    level = 28 / (1 + np.exp(-(np.log2(config.depth) - 1.2) / 0.5))
    return float(np.clip(level * (config.width / 64) ** 0.15 + rng.normal(0, 1.0), 0, 50))


def flat(config, rng) -> float:
    return float(20 + rng.normal(0, 2.0))


def stepping(config, rng) -> float:
    """2 below depth 8, 30 from there on."""
    return float(np.abs((30 if config.depth >= 8 else 2) + rng.normal(0, 1.5)))
