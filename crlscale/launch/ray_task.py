"""What runs inside a Ray task: the command line of one group as a child, nothing of crlscale's
training. Ray sends the name of `run_group` and its arguments, which are strings."""

import os
import signal
import subprocess
from pathlib import Path

from crlscale.launch.child import record_death, start_child

LOOK_SECONDS = 0.5


def run_group(folder: str, group: list[str], settings: dict[str, str]) -> int:
    """Run the group on this node, with `settings` in its environment; returns the exit code of its
    process. A cancelled task asks it to save and stop, and waits for that."""
    import ray

    os.environ.update(settings)  # this worker serves one task
    child = start_child(Path(folder), group, "ray", ray.get_runtime_context().get_task_id())
    while child.process.returncode is None:
        try:
            # Ray cancels by a KeyboardInterrupt that a waiting system call would not notice
            child.process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            child.ask(signal.SIGTERM)
    record_death(child)
    return child.process.returncode
