"""The tables of `crlscale bench`: columns and cells of each part, alone and beside a peer."""

ALONE = {
    "update": (
        ["depth", "batch", "compile s", "temp MB", "upd/s", "GFLOP/s", "matmul", "share"],
        lambda row: [
            str(row["depth"]),
            str(row["batch_size"]),
            f"{row['trace_seconds'] + row['compile_seconds']:.1f}",
            f"{row['temporary_megabytes']:.0f}",
            *(short(row[key]) for key in ("updates_per_second", "gigaflops", "matmul_gigaflops")),
            f"{row['share']:.0%}",
        ],
    ),
    "sampler": (
        ["envs", "batch", "compile s", "temp MB", "triples/s"],
        lambda row: [
            str(row["num_envs"]),
            str(row["batch_size"]),
            *(short(row[key]) for key in ("compile_seconds", "temporary_megabytes")),
            f"{row['triples_per_second']:,.0f}",
        ],
    ),
    "step": (
        ["task", "envs", "compile s", "env steps/s"],
        lambda row: [
            row["env"],
            str(row["num_envs"]),
            f"{row['compile_seconds']:.1f}",
            f"{row['env_steps_per_second']:,.0f}",
        ],
    ),
    "phase": (
        ["task", "compile s", "temp MB", "s", "env steps/s", "upd/s"],
        lambda row: [
            row["env"],
            *(short(row[key]) for key in ("compile_seconds", "temporary_megabytes", "seconds")),
            f"{row['env_steps_per_second']:,.0f}",
            short(row["updates_per_second"]),
        ],
    ),
}


def alone_title(asked, part: str) -> str:
    """What the rows of a part share."""
    shared = {
        "update": f"updates, width {asked.width}",
        "sampler": "hindsight samples",
        "step": "env steps, random actions",
        "phase": f"whole training, depth {min(asked.depths)}, width {asked.width},"
        f" batch {min(asked.batches)}",
    }
    return f"{shared[part]}, {asked.threads} core"


SHARED = ["ratio", "rounds", "compile s", "temp MB"]
AGAINST = {
    "update": (
        ["depth", "batch", "ours", "ms", "peer ms"],
        lambda row: [str(row["depth"]), str(row["batch_size"]), row["precision"], *_times(row, 1e3)],
    ),
    "sampler": (["envs", "ms", "peer ms"], lambda row: [str(row["num_envs"]), *_times(row, 1e3)]),
    "phase": (
        ["task", "ours", "s", "peer s"],
        lambda row: [row["env"], row["precision"], *_times(row, 1)],
    ),
}


def against_title(question, row: dict) -> str:
    """What the rows of a part share."""
    shared = {
        "update": f"one update, width {question.width}",
        "sampler": f"samples, batch {row['batch_size']}",
        "phase": f"one phase, depth {row['depth']}, width {row['width']}, batch {row['batch_size']}",
    }
    return f"{shared[row['part']]}: ours and {question.peer}, {question.threads} core"


def _times(row: dict, unit: float) -> list[str]:
    return [short(row["seconds"] * unit), short(row["peer_seconds"] * unit)]


def shared(row: dict) -> list[str]:
    """Ratio, its smallest to largest, compile seconds and temporaries of both sides."""
    return [
        short(row["ratio"]),
        f"{short(row['ratio_low'])}-{short(row['ratio_high'])}",
        *[
            f"{short(row[key])}/{short(row['peer_' + key])}"
            for key in ("compile_seconds", "temporary_megabytes")
        ],
    ]


def short(value: float | None) -> str:
    """Three digits, or whole above 100; a dash where nothing was told."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
