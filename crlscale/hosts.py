"""Several processes that compute one program together: one a host, or one a GPU (jax.distributed).

All run the same code in the same order. What only one of them can know (files, clocks, claims) the first
finds out and tells the others; only the first writes rows, records and what is said. Signals count
wherever they arrive. One process alone, which is the rule, starts nothing of this.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from crlscale import device
from crlscale.errors import CrlscaleError

SWITCH = "CRLSCALE_DISTRIBUTED"  # 0: never join; 1: join though the environment does not look like it
SMALLEST = 1024  # bytes of what is told at once; larger ones in powers of 2, each of which compiles

_index, _count = 0, 1


class FirstFailed(CrlscaleError):
    """What the first process was refused, as the others hear of it."""


def asked() -> bool:
    """Whether the environment says that this process is one of several: a coordinator's address, as
    jax.distributed knows it, or a step of Slurm with several tasks."""
    if switch := os.environ.get(SWITCH):
        return switch != "0"
    if "JAX_COORDINATOR_ADDRESS" in os.environ:
        return True
    return int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) > 1


def join(threads: int) -> None:
    """Meet the other processes, if there are any; before jax computes anything."""
    global _index, _count
    if several() or not asked():
        return
    device.prepare(threads)
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    given = [os.environ.get(name) for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")]
    known = {}
    if None not in given:
        known = dict(zip(("num_processes", "process_id"), map(int, given), strict=True))
        known["cluster_detection_method"] = "deactivate"
    try:
        jax.distributed.initialize(**known)
    except (RuntimeError, ValueError) as refused:
        raise CrlscaleError(
            f"cannot meet the other processes: {str(refused).splitlines()[0][:200]}",
            value=os.environ.get("JAX_COORDINATOR_ADDRESS"),
            remedy=f"{SWITCH}=0 to run alone, or JAX_COORDINATOR_ADDRESS=host:port with"
            " JAX_NUM_PROCESSES and JAX_PROCESS_ID in each",
        ) from None
    _index, _count = jax.process_index(), jax.process_count()
    with _stdout_to_stderr():
        agreed(None)  # gloo says whom it has met, on the channel for data


@contextlib.contextmanager
def _stdout_to_stderr():
    """Also for what libraries in C++ print."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def leave() -> None:
    """Wait for the others and part; who was the first stays it."""
    global _count
    if several():
        import jax

        jax.distributed.shutdown()
        _count = 1


def several() -> bool:
    return _count > 1


def first() -> bool:
    """Whether this process writes and speaks."""
    return _index == 0


def on_first(action: Callable[[], Any]) -> Any:
    """What `action()` returns in the first process, plain JSON, told to all. What it raises there is a
    FirstFailed in the others."""
    if not several():
        return action()
    if not first():
        told = _tell(None)
        if "error" in told:
            raise FirstFailed(told["error"], value=None, remedy="see what the first process said")
        return told["value"]
    try:
        value = action()
    except BaseException as error:
        _tell({"error": f"{type(error).__name__}: {error}"[:500]})
        raise
    _tell({"value": value})
    return value


def agreed(signal: int | None) -> int | None:
    """The largest of the signals that the processes have got, None if there is none."""
    if not several():
        return signal
    import numpy as np
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.int32(signal or 0)).max()) or None


def check_same(command: list) -> None:
    """A CrlscaleError in all processes if they were not started with the same command."""
    mine = json.dumps(command)
    if agreed(None if on_first(lambda: mine) == mine else 1) is not None:
        raise CrlscaleError(
            f"the {_count} processes were started with different runs; together they compute one",
            value=mine,
            remedy=f"the same command in each, or {SWITCH}=0 for each by itself",
        )


def say(message: str) -> None:
    """A line on stderr, once."""
    if first():
        print(message, file=sys.stderr)


def _tell(data: dict | None) -> dict:
    """The first process's `data`."""
    import numpy as np
    from jax.experimental import multihost_utils

    text = b"" if data is None else json.dumps(data).encode()
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    room = np.zeros(max(SMALLEST, 1 << (length - 1).bit_length()), np.uint8)
    if first():
        room[:length] = np.frombuffer(text, np.uint8)
    return json.loads(bytes(multihost_utils.broadcast_one_to_all(room))[:length])
