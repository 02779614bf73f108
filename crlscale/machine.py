"""How fast one core of this machine multiplies matrices: measured once, or by `crlscale bench`, and kept."""

import contextlib
import json
import os
import subprocess
import sys
from functools import cache

from crlscale.device import cache_folder
from crlscale.files import Unwritable, replace_file

LARGEST = 2048  # rows and width that are measured; larger ones are as quick


def matmul_rate(rows: int, width: int) -> float:
    """float32 matmul rate of one core for [rows, width] x [width, width], FLOP/s: what was kept beside
    the compiled programs, else measured now and kept."""
    return _rate(min(rows, LARGEST), min(width, LARGEST))


def keep_rate(rows: int, width: int, rate: float) -> None:
    """Keep `rate` for plans to come, in place of what was known."""
    known = _known() | {_key(rows, width): rate}
    with contextlib.suppress(Unwritable):  # without the file the next plan measures again
        replace_file(_path(), json.dumps(known).encode())
    _rate.cache_clear()


@cache
def _rate(rows: int, width: int) -> float:
    known = _known().get(_key(rows, width))
    if known is None:
        known = _measure(rows, width)
        keep_rate(rows, width, known)
    return known


def _path():
    return cache_folder() / "matmul.json"


def _key(rows: int, width: int) -> str:
    return f"{rows}x{width}"


def _known() -> dict[str, float]:
    try:
        return json.loads(_path().read_text())
    except (OSError, json.JSONDecodeError):
        return {}


def _measure(rows: int, width: int) -> float:
    """In a process of its own, whose BLAS is told to use one thread: more threads wait for each
    other in a spin that looks like work."""
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    printed = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(rows), str(width)],
        env={**os.environ, **one_thread},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return float(printed)


# CPU time counts, not wall time, so that a busy machine does not look slow.
_PROGRAM = """
import sys, time
import numpy as np
rows, width = map(int, sys.argv[1:])
x, w = np.ones((rows, width), np.float32), np.ones((width, width), np.float32)
flops, best = 2.0 * rows * width * width, 0.0
repeats = max(1, int(2e8 / flops))
for _ in range(5):
    began = time.process_time()
    for _ in range(repeats):
        x @ w
    best = max(best, flops * repeats / max(1e-9, time.process_time() - began))
print(best)
"""
