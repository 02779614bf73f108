"""jaxgcrl's sides of the comparisons, in a process of its own on the same cores: see worker.py."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from crlscale import device
from crlscale.bench import ours
from crlscale.bench.jaxgcrl.environment import clean_environment, peer_python
from crlscale.bench.ratios import Side
from crlscale.config import RunConfig
from crlscale.envs.registry import task_spec
from crlscale.envs.spec import TaskSpec
from crlscale.errors import CrlscaleError

WORKER = Path(__file__).with_name("worker.py")


class Peer:
    """A running worker. It keeps its newest program only, so a side ends where the next one begins."""

    def __init__(self, process: subprocess.Popen, log: Path):
        self._process, self._log = process, log

    def update(self, config: RunConfig) -> Side:
        """Updates on given batches; its networks have the depth's layers after the first one."""
        shape = {"depth": config.depth, "width": config.width, "batch_size": config.batch_size}
        return self._side("update", shape, config.task)

    def samples(self, num_envs: int, batch_size: int) -> Side:
        """All batches at once, of one window of every env."""
        shape = {"num_envs": num_envs, "steps": ours.STEPS, "batch_size": batch_size}
        return self._side("sampler", shape, task_spec(ours.TASK))

    def _side(self, job: str, shape: dict, task: TaskSpec) -> Side:
        sizes = {name: getattr(task, name) for name in ("state_size", "action_size", "goal_size")}
        made = self._ask({job: shape | sizes})
        # its jaxlib tells 0 where it does not know
        return Side(self._seconds, made["compile_seconds"], made["temporary_bytes"] or None)

    def _seconds(self, times: int) -> float:
        return self._ask({"times": times})["seconds"]

    def _ask(self, order: dict) -> dict:
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(order), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("{"):  # what its packages print is no answer
                return json.loads(line)
        words = self._log.read_text().strip().splitlines() or ["without a word"]
        raise CrlscaleError(
            f"jaxgcrl's process ended: {words[-1]}", value=str(self._log), remedy="--against naive"
        )


@contextlib.contextmanager
def peer() -> Iterator[Peer]:
    """A worker in jaxgcrl's environment, which is made at first use; pinned as this process is."""
    python = peer_python()
    log = device.cache_folder() / "peers" / "jaxgcrl.log"
    with log.open("w") as errors, subprocess.Popen(
        [str(python), str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=clean_environment(),
    ) as process:  # fmt: skip
        try:
            yield Peer(process, log)
        finally:
            process.kill()
