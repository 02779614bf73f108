"""Every column that the bench writes, and the file of them (docs/columns.md is made from this)."""

import os
import time
from pathlib import Path

from crlscale import device
from crlscale.files import replace_file
from crlscale.parquet import rows_to_table, table_to_bytes
from crlscale.schema import Column

SHAPE = [
    Column("depth", "int64", "layers", "Dense layers in the residual trunk"),
    Column("width", "int64", "units", "units of every hidden layer"),
    Column("batch_size", "int64", "triples", "batch of one update"),
]
TEMPORARIES = Column("temporary_megabytes", "float64", "MB", "temporaries of the compiled program")

UPDATES = [
    *SHAPE,
    Column("trace_seconds", "float64", "s", "CPU time to trace and lower the epoch program"),
    Column("compile_seconds", "float64", "s", "CPU time to compile it"),
    Column("program_kilobytes", "float64", "kB", "the lowered program as text"),
    TEMPORARIES,
    Column(
        "carried_megabytes",
        "float64",
        "MB",
        "parameters, moments and a ring of 64,000 steps beside them",
    ),
    Column("updates_per_second", "float64", "updates/s", "whole updates by CPU time"),
    Column("gigaflops", "float64", "GFLOP/s", "dense FLOPs of the updates"),
    Column("matmul_gigaflops", "float64", "GFLOP/s", "float32 [batch, width] x [width, width] alone"),
    Column("share", "float64", "share", "gigaflops over matmul_gigaflops"),
]

ENV_STEPS = [
    Column("env", "string", "-", "task"),
    Column("num_envs", "int64", "envs", "parallel envs"),
    Column("compile_seconds", "float64", "s", "CPU time to trace and compile the rollout"),
    Column("env_steps_per_second", "float64", "steps/s", "random actions, restarts included"),
]

SAMPLES = [
    Column("num_envs", "int64", "envs", "parallel envs, each with 1,000 steps of the ant's size"),
    Column("batch_size", "int64", "triples", "of one batch; as many are drawn as the steps fill"),
    Column("compile_seconds", "float64", "s", "CPU time to trace and compile"),
    TEMPORARIES,
    Column("triples_per_second", "float64", "triples/s", "state, action and hindsight goal"),
]

PHASES = [
    Column("env", "string", "-", "task"),
    *SHAPE,
    Column("num_envs", "int64", "envs", "parallel envs"),
    Column("compile_seconds", "float64", "s", "CPU time to trace and compile the epoch program"),
    TEMPORARIES,
    Column("seconds", "float64", "s", "CPU time of 3,968 env steps and 100 updates"),
    Column("env_steps_per_second", "float64", "steps/s", "of whole training"),
    Column("updates_per_second", "float64", "updates/s", "of whole training"),
]

AGAINST = [
    Column("part", "string", "-", "update, sampler or phase"),
    Column("peer", "string", "-", "what is measured against"),
    Column("env", "string", "-", "task of a phase"),
    Column("depth", "int64", "layers", "of an update or phase"),
    Column("width", "int64", "units", "of an update or phase"),
    Column("batch_size", "int64", "triples", "batch of one update"),
    Column("num_envs", "int64", "envs", "of a sampler or phase"),
    Column("precision", "string", "-", "of ours; the peer's is float32"),
    Column(
        "seconds", "float64", "s", "CPU time of ours: one update, all samples, or one phase; median"
    ),
    Column("peer_seconds", "float64", "s", "the same of the peer"),
    Column("ratio", "float64", "-", "peer over ours, median over the rounds"),
    Column("ratio_low", "float64", "-", "smallest of the rounds"),
    Column("ratio_high", "float64", "-", "largest of the rounds"),
    Column("rounds", "int64", "-", "turns that each side had"),
    Column("compile_seconds", "float64", "s", "CPU time to trace and compile ours"),
    Column("peer_compile_seconds", "float64", "s", "the same of the peer"),
    Column("temporary_megabytes", "float64", "MB", "temporaries of our compiled program"),
    Column("peer_temporary_megabytes", "float64", "MB", "the same of the peer; null if not told"),
]

FILES = {
    "updates": (
        "What `crlscale bench --parts update` measures; a row a depth and batch size.",
        UPDATES,
    ),
    "samples": ("What `crlscale bench --parts sampler` measures; a row a number of envs.", SAMPLES),
    "env_steps": (
        "What `crlscale bench --parts step` measures; a row a task and number of envs.",
        ENV_STEPS,
    ),
    "phases": ("What `crlscale bench --parts phase` measures; a row a task.", PHASES),
    "against-PEER": (
        "What `crlscale bench --against PEER` measures; a row a job and precision.",
        AGAINST,
    ),
}


COLUMNS = {name: columns for name, (_, columns) in FILES.items()}


def write_rows(folder: Path, name: str, columns: list[Column], rows: list[dict], threads: int) -> Path:
    """`rows` as folder/name.parquet, whole; its footer says where and when they were measured."""
    footer = {
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": device.description(),
        "threads": threads,
        "load_average": os.getloadavg(),
        "versions": device.versions(),
    }
    path = Path(folder) / f"{name}.parquet"
    replace_file(path, table_to_bytes(rows_to_table(columns, rows), footer))
    return path
