"""Launchers by name: runs what is left of a study where and how the options say."""

from collections.abc import Callable
from pathlib import Path

from crlscale.launch.contract import Launcher, LaunchOptions, Progress
from crlscale.launch.local import LocalLauncher, check_jobs, choose_jobs
from crlscale.launch.watch import Watch
from crlscale.study import Study

LAUNCHERS = ("local", "slurm", "ray")


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
    """How many groups the plan expects at once; on a cluster all, if it has the room."""
    if options.launcher == "local":
        return choose_jobs(study, options.jobs, options.gpus)
    check_jobs(options.jobs)
    return min(options.jobs or len(study.groups), len(study.groups))


def _launcher(folder: Path, study: Study, options: LaunchOptions) -> Launcher:
    if options.launcher == "ray":
        from crlscale.launch.ray import RayLauncher

        return RayLauncher(folder, study, options)
    if options.launcher == "slurm":
        from crlscale.launch.slurm import SlurmLauncher

        return SlurmLauncher(folder, study, options)
    jobs = choose_jobs(study, options.jobs, options.gpus)
    return LocalLauncher(folder, study, jobs, options.gpus)
