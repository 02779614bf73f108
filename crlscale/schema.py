"""Every column that a run writes: name, type, unit, meaning. `docs/columns.md` is made from this."""

from dataclasses import dataclass

SCHEMA_VERSION = 1

GOAL_SETS = {
    "all": "every goal of the task",
    "far": "the far goal cells",
    "near": "the goal cells that are not far",
}


@dataclass(frozen=True)
class Column:
    """One column of metrics.parquet, goals.parquet or blocks.parquet. `dtype` is an Arrow type name."""

    name: str
    dtype: str
    unit: str
    meaning: str


_AXES = [
    Column("run_id", "string", "-", "the run this row belongs to"),
    Column("env", "string", "-", "task"),
    Column("agent", "string", "-", "method; null in files from before there were several: crl"),
    Column("seed", "int64", "-", "seed of the run"),
    Column("depth", "int64", "layers", "Dense layers in the residual trunk"),
    Column("actor_depth", "int64", "layers", "depth of the actor"),
    Column("critic_depth", "int64", "layers", "depth of critics or encoders; null without"),
    Column("width", "int64", "units", "units of every hidden layer"),
    Column("batch_size", "int64", "triples", "batch of one update"),
]

_PROGRESS = [
    Column("evaluation", "int64", "-", "index of the evaluation; 0 is before training"),
    Column("env_steps", "int64", "steps", "training env steps so far, prefill included"),
    Column("gradient_steps", "int64", "updates", "updates so far"),
]

_TRAINING = [
    Column(
        "critic_loss", "float64", "-", "contrastive + penalty, squared TD error, or -log likelihood"
    ),
    Column("categorical_accuracy", "float64", "share", "batch rows whose own goal has most energy"),
    Column("logsumexp", "float64", "nat", "mean logsumexp of the energies of a row"),
    Column("positive_energy", "float64", "-", "mean energy of matching pairs"),
    Column("negative_energy", "float64", "-", "mean energy of all other pairs"),
    Column("value", "float64", "-", "mean value: the smaller one, or minus discounted steps to go"),
    Column("reward", "float64", "-", "mean reward of the batch, relabelled goals included"),
    Column("hit_share", "float64", "share", "batch rows whose goal the record reaches in the horizon"),
    Column("hazard_loss", "float64", "nat", "part of critic_loss: minus the log likelihood of hits"),
    Column("distance_loss", "float64", "-", "same: embeddings less or more apart than the goal is"),
    Column("hinge_loss", "float64", "-", "same: embeddings of other goals that are too close"),
    Column("occupancy_loss", "float64", "nat", "same: cross-entropy of the share of time at the goal"),
    Column("failure_share", "float64", "share", "batch rows whose trajectory ends in a failure"),
    Column("survival_loss", "float64", "nat", "cross-entropy of the survival network"),
    Column("survival_probability", "float64", "share", "mean predicted survival of sampled actions"),
    Column("actor_loss", "float64", "-", "minus energy or value, + alpha log pi; or -log pi of data"),
    Column("entropy", "float64", "nat", "mean -log pi of the sampled actions"),
    Column("alpha", "float64", "-", "entropy coefficient"),
    Column("actor_gradient_norm", "float64", "-", "L2 norm of the actor's gradient"),
    Column("state_action_gradient_norm", "float64", "-", "same, state-action encoder"),
    Column("goal_gradient_norm", "float64", "-", "same, goal encoder"),
    Column("critic_gradient_norm", "float64", "-", "same, the whole critic of other methods"),
    Column("actor_parameter_norm", "float64", "-", "L2 norm of the actor's parameters, at the end"),
    Column("state_action_parameter_norm", "float64", "-", "same, state-action encoder"),
    Column("goal_parameter_norm", "float64", "-", "same, goal encoder"),
    Column("survival_parameter_norm", "float64", "-", "same, survival network"),
    Column("critic_parameter_norm", "float64", "-", "same, the whole critic of other methods"),
    Column(
        "actor_update_ratio",
        "float64",
        "share",
        "norm of an update by that of the actor after it, of one in 10",
    ),
    Column("state_action_update_ratio", "float64", "share", "same, state-action encoder"),
    Column("goal_update_ratio", "float64", "share", "same, goal encoder"),
    Column("survival_update_ratio", "float64", "share", "same, survival network"),
    Column("critic_update_ratio", "float64", "share", "same, the whole critic of other methods"),
    Column("first_nonfinite_update", "int64", "updates", "first update with a non-finite loss"),
    Column(
        "instability_onset",
        "int64",
        "updates",
        "first update of what is unstable by a rule of docs/extreme-depth.md; null if nothing is so far",
    ),
    Column(
        "instability_kind", "string", "-", "what: entropy, actor_gradient_norm, ...; null as the onset"
    ),
]


def _evaluation_columns() -> list[Column]:
    columns = [Column("eval_episodes", "int64", "episodes", "episodes of this evaluation")]
    for goals, words in GOAL_SETS.items():
        columns += [
            Column(f"time_at_goal_{goals}", "float64", "steps", f"steps inside the radius; {words}"),
            Column(f"success_rate_{goals}", "float64", "share", f"episodes once inside; {words}"),
            Column(f"first_hit_{goals}", "float64", "steps", f"steps to the goal when hit; {words}"),
            Column(f"survival_{goals}", "float64", "steps", f"steps to failure or limit; {words}"),
            Column(f"coverage_{goals}", "float64", "share", f"cells hit in half the tries; {words}"),
        ]
    return columns


_MACHINE = [
    Column(
        "env_steps_per_second", "float64", "steps/s", "training env steps by wall time of the epoch"
    ),
    Column("updates_per_second", "float64", "updates/s", "updates by wall time of the epoch"),
    Column(
        "train_seconds", "float64", "s", "wall time of training so far, without compile and evaluation"
    ),
    Column("evaluation_seconds", "float64", "s", "wall time of this evaluation"),
    Column("cpu_seconds", "float64", "s", "CPU time of the process since it started"),
    Column(
        "compile_seconds", "float64", "s", "trace and compile time of all programs, in the first row"
    ),
    Column("peak_memory_bytes", "int64", "bytes", "peak resident memory of the process so far"),
    Column("program_runs", "int64", "runs", "runs that trained in this program and share its times"),
    Column("physics", "string", "JSON", "fingerprint of the simulation, in row 0 (docs/tasks.md)"),
    Column("resumed", "bool", "-", "whether this row follows a resume from a checkpoint"),
    Column(
        "refill_env_steps",
        "int64",
        "steps",
        "of fresh prefills after resumes without the saved replay, not in env_steps; 0 = never lost",
    ),
]

METRICS = [*_AXES, *_PROGRESS, *_evaluation_columns(), *_TRAINING, *_MACHINE]

GOALS = [
    Column("run_id", "string", "-", "the run this row belongs to"),
    Column("evaluation", "int64", "-", "index of the evaluation"),
    Column("env_steps", "int64", "steps", "training env steps so far"),
    Column("goal_cell", "int64", "-", "index of the goal cell, in reading order"),
    Column("row", "int64", "cells", "maze row of the cell"),
    Column("column", "int64", "cells", "maze column of the cell"),
    Column("far", "bool", "-", "whether the cell is in the far set"),
    Column("start_row", "int64", "cells", "maze row of the start; null if any R"),
    Column("start_column", "int64", "cells", "maze column of the start; null if any R"),
    Column("apart", "int64", "cells", "path from start (the nearest R) to goal cell"),
    Column("episodes", "int64", "episodes", "episodes with this goal"),
    Column("time_at_goal", "float64", "steps", "mean over the episodes"),
    Column("success_rate", "float64", "share", "episodes at least once inside the radius"),
    Column("first_hit", "float64", "steps", "mean over the episodes that hit; null if none"),
    Column("survival", "float64", "steps", "mean steps to failure or limit"),
]

BLOCKS = [
    Column("run_id", "string", "-", "the run this row belongs to"),
    Column("evaluation", "int64", "-", "index of the evaluation; 0 is before training"),
    Column("env_steps", "int64", "steps", "training env steps so far"),
    Column("gradient_steps", "int64", "updates", "updates so far"),
    Column(
        "network", "string", "-", "actor, state_action, goal, survival, joined; first and second critic"
    ),
    Column("block", "int64", "-", "index of the residual block, from the input"),
    Column("stream_norm", "float64", "-", "norm of the stream behind the block, mean over a batch"),
    Column("branch_norm", "float64", "-", "same, of what the block adds to the stream"),
    Column("gradient_norm", "float64", "-", "L2 norm of the gradient from that batch, not clipped"),
    Column("parameter_norm", "float64", "-", "L2 norm of the parameters"),
    Column("update_ratio", "float64", "share", "norm of an update by that of the parameters after it"),
]
