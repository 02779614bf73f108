"""What a study looks like after faults, beside one without: what is wrong, and the page that says so."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from crlscale.record import FINISHED, read_status
from crlscale.schema import BLOCKS, GOALS, METRICS
from crlscale.store import read_json, read_run_blocks, read_run_goals, read_run_metrics, write_json
from crlscale.study import load_study

RUNS_PER_PROCESS = 3
TARGETS = {"worker": 8, "launcher": 2, "group": 2}  # relative frequency
# in the order of a run's life, with their relative frequency; a run takes them again and again
PHASES = {
    **{"import": 3, "start": 3, "compile": 4, "restore": 2, "prefill": 1},
    **{"train": 3, "checkpoint": 4, "evaluate": 3, "write": 4, "end": 1, "between": 1},
}
STARTING = tuple(PHASES)[:5]
NOT_COMPARED = {
    *("env_steps_per_second", "updates_per_second", "train_seconds", "evaluation_seconds"),
    *("cpu_seconds", "compile_seconds", "peak_memory_bytes", "resumed"),
}


@dataclass
class Report:
    """What was done to the study, and what was found."""

    runs: int
    seed: int
    kills: list[tuple[str, str]] = field(default_factory=list)  # (target, phase struck)
    processes: int = 0  # that a SIGKILL ended
    launchers: int = 0
    seconds: float = 0.0

    def keep(self, folder: Path) -> None:
        """Write it down, so that an interrupted campaign goes on."""
        write_json(folder / "report.json", asdict(self))

    @classmethod
    def found(cls, folder: Path, runs: int, seed: int) -> "Report":
        """As it was kept in `folder`, or a new one."""
        if not (folder / "report.json").exists():
            return cls(runs, seed)
        kept = read_json(folder / "report.json")
        return cls(**{**kept, "kills": [tuple(kill) for kill in kept["kills"]]})


def history(run: Path) -> list[dict]:
    """The lines of a run's history."""
    path = run / "history.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(as_line, lines) if line]


def as_line(text: str) -> dict | None:
    """A line of a history; one that a kill cut short counts as none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def problems(folder: Path, undisturbed: Path) -> list[str]:
    """Everything that is not as it must be; empty if every run is complete exactly once and equal."""
    found = []
    for run_id in load_study(folder).configs:
        run, plain = folder / "runs" / run_id, undisturbed / "runs" / run_id
        lines = history(run)
        completions = [line for line in lines if line["event"] == "complete"]
        status = read_status(run)["status"]
        if status != "complete":
            found.append(f"{run_id}: {status}")
        if len(completions) > 1:
            found.append(f"{run_id}: completed {len(completions)} times")
        again = [line for line in lines if line["event"] == "started" and line["was"] in FINISHED]
        if again:
            found.append(f"{run_id}: started {len(again)} times after it was complete")
        if overlaps(lines):
            found.append(f"{run_id}: two processes at once")
        for name, columns, read in (
            ("metrics", METRICS, read_run_metrics),
            ("goals", GOALS, read_run_goals),
            ("blocks", BLOCKS, lambda run: [r for t in read_run_blocks(run) for r in t.to_pylist()]),
        ):
            compared = [c.name for c in columns if c.name not in NOT_COMPARED]
            mine, theirs = ([[row[c] for c in compared] for row in read(r)] for r in (run, plain))
            if repr(mine) != repr(theirs):  # repr: NaN equals NaN, and every bit of a float counts
                found.append(f"{run_id}: {name} differ from the undisturbed run")
        left = {path.name for path in run.iterdir()} - {path.name for path in plain.iterdir()}
        debris = {name for name in left if name != "log.txt" and not name.endswith(".tmp")}
        if debris:
            found.append(f"{run_id}: left {', '.join(sorted(debris))}")
    return found


def overlaps(lines: list[dict]) -> bool:
    """Whether a process added to the history after another one had started."""
    owner, gone = None, set()
    for line in lines:
        if line["event"] == "started":
            gone |= {owner} - {line["pid"]}
            owner = line["pid"]
        elif line["event"] != "failed" and line["pid"] in gone:
            return True
    return False


def attempts(folder: Path) -> Counter:
    """How the attempts of all runs began and ended, from the histories."""
    counts = Counter()
    for run_id in load_study(folder).configs:
        lines = history(folder / "runs" / run_id)
        counts.update(line["event"] for line in lines if line["event"] != "phase")
        counts["attempts of the busiest run"] = max(
            counts["attempts of the busiest run"], sum(line["event"] == "started" for line in lines)
        )
    return counts


def as_markdown(report: Report, folder: Path, found: list[str]) -> str:
    """The report as a page."""
    runs = len(load_study(folder).configs)
    made = f"--runs {runs} --kills {len(report.kills)} --seed {report.seed} --out docs/faults.md"
    lines = [
        "# Fault injection",
        "",
        f"`python tests/fault_injection.py {made} --folder FOLDER` wrote this page.",
        "",
        f"A study of {runs} runs ({RUNS_PER_PROCESS} in a process, two processes at once) was run to its"
        f" end under {len(report.kills)} kills (`kill -9`), which ended at least {report.processes}"
        f" processes, in {report.seconds / 60:.0f} minutes. The same study without kills is what it is"
        " compared with.",
        "Each run has 6 epochs and 7 evaluations and saves a checkpoint after every chunk of training"
        " (`CRLSCALE_CHECKPOINT_SECONDS=0`); `CRLSCALE_TRACE=1` has each phase noted, so that a kill can"
        " be aimed at one drawn at random.",
        "",
        *_what_was_found(folder, found),
        "",
        *_what_was_killed(report),
        "",
        *_what_the_histories_tell(report, folder),
        "",
    ]
    return "\n".join(lines)


def _what_was_found(folder: Path, found: list[str]) -> list[str]:
    """`found`: what `problems` returned."""
    run_ids = load_study(folder).configs
    complete = sum(read_status(folder / "runs" / run_id)["status"] == "complete" for run_id in run_ids)
    different = {problem.split(":")[0] for problem in found if "differ" in problem}
    return [
        "| found | runs |",
        "| --- | ---: |",
        f"| complete | {complete} |",
        f"| whose history tells of a completion | {attempts(folder)['complete']} |",
        f"| completed more than once | {sum('completed' in problem for problem in found)} |",
        f"| started again after completion | {sum('after it was' in problem for problem in found)} |",
        f"| with two processes at once | {sum('two processes' in problem for problem in found)} |",
        "| whose metrics or goals differ from the undisturbed run in any bit but times |"
        f" {len(different)} |",
        "",
        *[f"- {problem}" for problem in found],
        "A line of history that a kill prevented is missing: a run that was killed between the record of"
        " its completion and that line is complete without one. Compared are all columns of"
        f" metrics.parquet, goals.parquet and blocks.parquet but {', '.join(sorted(NOT_COMPARED))}.",
    ]


def _what_was_killed(report: Report) -> list[str]:
    counts = Counter(report.kills)
    targets = Counter(target for target, _ in report.kills)
    rows = [(phase, *(counts[target, phase] for target in TARGETS)) for phase in PHASES]
    return [
        "| phase of the worker | worker killed | launcher killed | launcher and workers killed |",
        "| --- | ---: | ---: | ---: |",
        *[f"| {' | '.join(map(str, row))} |" for row in rows],
        f"| all | {' | '.join(str(targets[target]) for target in TARGETS)} |",
        "",
        "The phase is the last one that the worker had told of when the kill had struck: between two"
        " tellings it may have gone a little further. `import` is before the claim, `start` from there to"
        " the compilation, with the import of jax; `end` from the last row to the record of the"
        " completion; `between` from there to the next program of the process.",
    ]


def _what_the_histories_tell(report: Report, folder: Path) -> list[str]:
    counts = attempts(folder)
    return [
        "| in the histories | |",
        "| --- | ---: |",
        f"| starts of runs | {counts['started']} |",
        f"| of these, gone on from a checkpoint | {counts['resumed']} |",
        f"| starts of the run that started most often | {counts['attempts of the busiest run']} |",
        f"| stopped with what was saved, since the launcher was dead | {counts['stopped']} |",
        f"| deaths recorded by the launcher | {counts['failed']} |",
        f"| starts of the launcher, at least | {report.launchers} |",
    ]
