"""Live progress of a sweep on stderr: a table on a terminal, a line per event elsewhere."""

from contextlib import contextmanager

from crlscale.cli.console import say
from crlscale.cli.words import span, why
from crlscale.cost import run_seconds
from crlscale.launch.contract import Progress
from crlscale.record import FINISHED
from crlscale.remaining import ENDED, Remaining
from crlscale.study import Study


@contextmanager
def show_progress(study: Study, jobs: int):
    """A function to call with each Progress; draws while the context is open."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    remaining = _Remaining(study, jobs)
    if not console.is_terminal:
        yield _Lines(study, remaining)
        return
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        yield lambda progress: live.update(_table(study, progress, remaining))


class _Remaining:
    """Time left, from predicted seconds until the first run can tell its pace."""

    def __init__(self, study: Study, jobs: int):
        self.remaining, self.jobs = Remaining(study, run_seconds), jobs

    def seconds(self, progress: Progress) -> float:
        words = {run_id: status["status"] for run_id, status in progress.statuses.items()}
        # a process may have several runs in hand, of which some have ended or wait for their turn
        at_work = sum(words[i] == "running" for i in (*progress.running, *progress.elsewhere))
        # between two runs a process is idle for a moment; the queue of a cluster has none of ours
        open_runs = sum(word not in ENDED for word in words.values())
        ours = 1 if progress.leaves_jobs else min(self.jobs, open_runs)
        return self.remaining.seconds(progress.statuses, max(at_work, ours), guess=1.0)


def _headline(progress: Progress, remaining: _Remaining) -> str:
    done, failed = progress.count(*FINISHED), progress.count("failed")
    words = f"{done} of {len(progress.statuses)} runs done"
    words += f", {failed} failed" if failed else ""
    if progress.elsewhere:
        words += f", {len(progress.elsewhere)} running in another crlscale"
    words += f", {len(progress.queued)} in the queue" if progress.queued else ""
    if progress.leaves_jobs:
        return f"{words}; about {span(remaining.seconds(progress))} left; Ctrl-C leaves the jobs alone"
    if progress.stopping:
        return f"{words}; stopping at the next chunk of each run (Ctrl-C again kills)"
    return f"{words}; about {span(remaining.seconds(progress))} left; Ctrl-C saves and stops"


def _table(study: Study, progress: Progress, remaining: _Remaining):
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("run", "env steps", "", "upd/s", "at goal", "left"):
        table.add_column(column, justify="left" if column == "run" else "right", no_wrap=True)
    for run_id in [*progress.running, *progress.elsewhere]:
        status = progress.statuses[run_id]
        share = status.get("env_steps", 0) / max(1, status.get("total_env_steps", 1))
        table.add_row(
            _label(study, run_id),
            f"{status.get('env_steps', 0):,}",
            f"{share:.0%}",
            _number(status.get("updates_per_second"), "compiling"),
            _number(status.get("time_at_goal"), "-"),
            span(status.get("seconds_left")),
        )
    return Group(_headline(progress, remaining), table)


class _Lines:
    """For logs and pipes: a line when a run starts and when it ends. The first call tells how
    things stood before anything was started: that is no news."""

    def __init__(self, study: Study, remaining: _Remaining):
        self.study, self.remaining = study, remaining
        self.seen: dict[str, tuple] | None = None

    def __call__(self, progress: Progress) -> None:
        # with the time of its end: a failed run that fails again between two looks is news too
        now = {i: (status["status"], status.get("ended")) for i, status in progress.statuses.items()}
        for run_id, state in now.items() if self.seen is not None else ():
            if self.seen[run_id] != state and state[0] != "planned":
                self._say(run_id, progress)
        self.seen = now

    def _say(self, run_id: str, progress: Progress) -> None:
        status = progress.statuses[run_id]
        word, score = status["status"], status.get("time_at_goal")
        at_goal = "" if score is None or word == "running" else f", time at goal {score:.1f}"
        told = f" ({why(status)})" if why(status) else ""
        say(f"{word}: {_label(self.study, run_id)}{at_goal}{told}")
        if word in FINISHED:
            say(_headline(progress, self.remaining))


def _label(study: Study, run_id: str) -> str:
    config = study.configs[run_id]
    levels = [f"{axis} {getattr(config, axis)}" for axis in study.axes]
    return ", ".join([*levels, f"seed {config.seed}"])


def _number(value: float | None, missing: str) -> str:
    return missing if value is None else f"{value:.1f}"
