"""`crlscale envs`: the tasks."""

from dataclasses import asdict

from crlscale.cli.console import Json, emit_json, print_table


def envs(json: Json = False) -> int:
    """Every task with its sizes, episode, success radius and goals.

    Example: crlscale envs
    """
    from crlscale.config import DEFAULT_ENV
    from crlscale.envs.registry import task_names, task_spec

    specs = [task_spec(name) for name in task_names()]
    if json:
        emit_json({"default": DEFAULT_ENV, "rows": [asdict(spec) for spec in specs]})
        return 0
    rows = [
        [
            spec.name,
            f"{spec.state_size}+{spec.goal_size}",
            str(spec.action_size),
            str(spec.episode_length),
            str(spec.success_radius),
            "-" if spec.goal_cells is None else str(spec.goal_cells),
            ", ".join(spec.goal_sets),
        ]
        for spec in specs
    ]
    columns = ["task", "state+goal", "action", "steps", "radius", "cells", "goal sets"]
    print_table(f"tasks (default: {DEFAULT_ENV}; chain_N for N from 2 to 64)", columns, rows)
    return 0
