"""What was run, what failed, and how to do it again: the record of a study for its report."""

import json
import shlex
from collections import Counter
from dataclasses import dataclass

from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.plan import plan_study
from crlscale.presets import preset_settings
from crlscale.report.finding import Loaded, Table
from crlscale.score import DIVERGED_SENTENCES
from crlscale.settings import make_config
from crlscale.study import Execution, Study

SWEEPS = {"depth": "depth", "width": "width", "batch_size": "batch"}
GRID = {"depth": "--depths", "width": "--widths", "batch_size": "--batches"}
DONE = ("complete", "diverged")


@dataclass(frozen=True)
class Record:
    """Tables over the runs, `facts` (name, value) about all of them, `failures` in sentences, and the
    `commands` (what for, command) that do it again."""

    facts: list[tuple[str, str]]
    settings: Table
    runs: Table
    failures: list[str]
    commands: list[tuple[str, str]]


def record_of(loaded: Loaded) -> Record:
    """The record of a stored study."""
    study = loaded.scores.study
    return Record(
        facts=_facts(loaded),
        settings=_settings(study),
        runs=_runs(loaded),
        failures=_failures(loaded),
        commands=commands(study, loaded.scores.diverged),
    )


def run_command(study: str, run_id: str) -> str:
    """The literal command of one run, as the launchers start it."""
    return f"python -m crlscale run {shlex.quote(study)} {run_id}"


def _facts(loaded: Loaded) -> list[tuple[str, str]]:
    study, frame = loaded.scores.study, loaded.metrics
    statuses = Counter(loaded.runs["status"])
    footers = loaded.footers
    last = frame.sort_values("evaluation").groupby("run_id").tail(1)
    hours = float((last["train_seconds"] / last["program_runs"].fillna(1)).sum()) / 3600
    begun = loaded.runs["ended"].notna() & loaded.runs["started"].notna()
    wall = (loaded.runs["ended"] - loaded.runs["started"])[begun].sum() / 3600
    diverged = loaded.scores.diverged_runs
    facts = [
        ("study", study.name),
        ("planned", study.created),
        ("runs", ", ".join(f"{count} {status}" for status, count in statuses.items())),
        ("diverged", DIVERGED_SENTENCES[loaded.scores.diverged] if diverged else ""),
        ("seeds", f"{study.seeds} a cell, {len(study.cells)} cell{'s' * (len(study.cells) != 1)}"),
        ("code", _one([footer.get("code_version") for footer in footers])),
        ("device", _one([footer.get("device") for footer in footers])),
        ("threads of a program", str(study.execution.threads)),
        ("training time", f"{hours:.2f} hours, all runs together"),
    ]
    if wall:
        facts.append(
            ("wall time", f"{wall:.2f} hours, all runs together, start and evaluation included")
        )
    facts += [("energy", "not measured")]
    versions = [footer.get("versions", {}) for footer in footers]
    names = dict.fromkeys(name for of_run in versions for name in of_run)
    listed = [f"{name} {_one([of_run.get(name) for of_run in versions])}" for name in names]
    facts.append(("packages", ", ".join(listed)))
    return [(name, value) for name, value in facts if value]


def _one(values: list) -> str:
    """The value, or all of them with their counts."""
    counts = Counter(str(value) for value in values if value is not None)
    if len(counts) < 2:
        return next(iter(counts), "not recorded")
    return ", ".join(f"{value} ({count})" for value, count in sorted(counts.items()))


def _settings(study: Study) -> Table:
    """Every config field: its value, or its levels where it varies."""
    configs = [config.model_dump() for config in study.configs.values()]
    rows = []
    for field, about in RunConfig.model_fields.items():
        values = list(dict.fromkeys(json.dumps(config[field]) for config in configs))
        rows.append([field, ", ".join(values), about.description or ""])
    return "Settings of the runs", ["field", "value", "meaning"], rows


def _runs(loaded: Loaded) -> Table:
    """One line a planned run, with its literal command."""
    study = loaded.scores.study
    memory = loaded.metrics.groupby("run_id")["peak_memory_bytes"].max().dropna()
    columns = [*study.axes, "seed", "status", "score", "hours", "peak GB", "command"]
    rows = []
    for cell in loaded.scores.cells:
        for run in cell.runs:
            peak = memory.get(run.run_id)
            rows.append(
                [
                    *map(str, cell.levels.values()),
                    str(run.seed),
                    run.status,
                    "-" if run.score is None else f"{run.score:.2f}",
                    "-" if run.hours is None else f"{run.hours:.3g}",
                    "-" if peak is None else f"{peak / 1e9:.2f}",
                    run_command(study.name, run.run_id),
                ]
            )
    return "Every run", columns, rows


def _failures(loaded: Loaded) -> list[str]:
    """A sentence for each run that is not complete or was unstable, and for what the scores leave out."""
    runs = loaded.runs[(loaded.runs["status"] != "complete") | loaded.runs["instability"].notna()]
    said = [f"{row.run_id}: {row.status}{_why(row)}." for row in runs.itertuples()]
    return ([f"{loaded.scores.warning}."] if loaded.scores.warning else []) + said


def _why(row) -> str:
    words = [text for text in (row.cause, row.instability) if isinstance(text, str)]
    return f" ({'; '.join(words)})" if words else ""


# --- how to do it again --------------------------------------------------------------------
def commands(study: Study, diverged: str) -> list[tuple[str, str]]:
    """What to type to run the study again from nothing, and to go on with it as it is. `diverged`:
    the rule of the report for diverged runs."""
    again = sweep_command(study)
    first = [("the whole study, from nothing", again)] if again else []
    if not again:
        first = [
            (
                "options alone do not plan these runs: its study file does, or an older version",
                "see study.json",
            )
        ]
    report = f"crlscale report {shlex.quote(study.name)}"
    report += "" if diverged == "last" else f" --diverged {diverged}"
    return [*first, ("this report, from the stored runs", report)]


def sweep_command(study: Study) -> str | None:
    """The `crlscale sweep` that plans exactly `study`; None where no option says it."""
    axes = study.axes
    if len(axes) == 1 and next(iter(axes)) in SWEEPS:
        ((axis, levels),) = axes.items()
        parts = ["sweep", SWEEPS[axis], "--levels", _levels(levels)]
    else:
        parts = ["sweep", "grid"]
        for axis, levels in axes.items():
            known = axis in GRID
            parts += [GRID[axis], _levels(levels)] if known else ["--axis", f"{axis}={_levels(levels)}"]
        for rule in study.where:
            parts += ["--where", rule]
    settings = _changed(study)
    env = next(iter(study.configs.values())).env
    if env != RunConfig.model_fields["env"].default:
        parts += ["--env", env]
    parts += ["--seeds", str(study.seeds), "--preset", study.preset]
    for field, default in Execution().model_dump().items():
        value = getattr(study.execution, field)
        if value != default:
            parts += [f"--{field.replace('_', '-')}", str(value)]
    for field, value in settings.items():
        if field != "env":
            parts += ["--set", f"{field}={'null' if value is None else value}"]
    try:
        planned = plan_study(
            axes,
            seeds=study.seeds,
            preset=study.preset,
            settings=settings,
            where=study.where,
            execution=study.execution,
        )
    except CrlscaleError:
        return None
    if planned.configs.keys() != study.configs.keys():
        return None
    if planned.name != study.name:
        parts += ["--study", study.name]
    return shlex.join(["crlscale", *parts])


def _levels(levels: list) -> str:
    return ",".join(map(str, levels))


def _changed(study: Study) -> dict:
    """The settings of the study that are neither its axes nor those of its preset."""
    one = next(iter(study.configs.values())).model_dump()
    base = {key: value for key, value in one.items() if key in (*study.axes, "seed", "env")}
    plain = make_config({**preset_settings(study.preset), **base}).model_dump()
    kept = {key: value for key, value in one.items() if value != plain[key]}
    if one["env"] != RunConfig.model_fields["env"].default:
        kept["env"] = one["env"]
    return {key: value for key, value in kept.items() if key not in (*study.axes, "seed")}
