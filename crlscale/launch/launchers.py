"""Launchers by name: runs what is left of a study where and how the options say."""

from collections.abc import Callable
from pathlib import Path

from crlscale.launch.contract import Launcher, LaunchOptions, Progress
from crlscale.launch.local import LocalLauncher, choose_jobs
from crlscale.launch.watch import Watch
from crlscale.study import Study

LAUNCHERS = ("local",)


def launch(
    folder: Path,
    study: Study,
    options: LaunchOptions,
    report: Callable[[Progress], None],
    run_ids: list[str] | None = None,
) -> int:
    """Run what has not finished of the study in `folder` (of `run_ids` only, if given).

    Groups are those of the plan: `run_ids` can leave runs out of a group, never join two.
    Returns 0 if all finished, 1 if some failed, 75 or 130 if stopped. Errors: CrlscaleError for
    an extra that is not installed, a cluster that does not answer, a folder that refuses."""
    launcher = _launcher(folder, study, options)
    return Watch(folder, study, launcher, report, run_ids, options.retries).run(options.wait)


def planned_jobs(study: Study, options: LaunchOptions) -> int:
    """How many groups the plan expects at once."""
    return choose_jobs(study, options.jobs)


def _launcher(folder: Path, study: Study, options: LaunchOptions) -> Launcher:
    return LocalLauncher(folder, study, choose_jobs(study, options.jobs))
