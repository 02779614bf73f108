"""Whether a run that has ended unfinished is worth another try; the same rule for every launcher."""

from collections import Counter

from crlscale.record import FINISHED

RETRIED = ("killed", "out_of_memory", "preempted", "lost")  # kinds of failure that may pass
TRIES_OUT_OF_MEMORY = 2


class Tries:
    """Counts the deaths of runs and allows `retries` of each; `deaths` goes on from a count."""

    def __init__(self, retries: int, deaths: dict[str, int] | None = None):
        self.retries, self.deaths = retries, Counter(deaths or {})
        self._before: dict[str, dict] = {}  # status.json of a run when its process was started

    def started(self, run_id: str, status: dict) -> None:
        """A process starts that is to run it; `status` as it stands before."""
        self._before[run_id] = status

    def again(self, statuses: dict[str, dict]) -> list[str]:
        """Which runs of a process that has ended are worth another one; `statuses` of all its runs.

        One that had not begun, since another of the process died first, is. One that was told to
        stop, had saved and had got further (preempted, its time is up) goes on as often as that
        takes. Other deaths count; one for want of memory is tried once more at most, and what
        would end alike (an exception, an illegal config) not at all."""
        begun = {run_id for run_id, status in statuses.items() if self._has_begun(run_id, status)}
        left = [run_id for run_id, status in statuses.items() if status["status"] not in FINISHED]
        free = set(statuses) - begun if begun else set()
        return [run_id for run_id in left if run_id in free or self._worth(run_id, statuses[run_id])]

    def _worth(self, run_id: str, status: dict) -> bool:
        if status["status"] == "stopped":
            if _steps(status) > _steps(self._before.get(run_id, {})):
                return True
        elif status["status"] == "failed" and status.get("kind") not in RETRIED:
            return False
        self.deaths[run_id] += 1
        tries = 1 + self.retries
        if status.get("kind") == "out_of_memory":
            tries = min(tries, TRIES_OUT_OF_MEMORY)
        return self.deaths[run_id] < tries

    def _has_begun(self, run_id: str, status: dict) -> bool:
        before = self._before.get(run_id, {})
        return any(status.get(key) != before.get(key) for key in ("attempts", "started", "ended"))


def _steps(status: dict) -> int:
    return status.get("env_steps") or 0
