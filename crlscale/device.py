"""The machine of a run: what must be set before jax starts, and what is recorded of it."""

import contextlib
import io
import os
import platform
import resource
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import platformdirs

RECORDED = ("jax", "jaxlib", "flax", "optax", "brax", "mujoco", "mujoco-mjx", "numpy")


def cache_folder() -> Path:
    """Where compiled programs and the machine's calibration are kept; CRLSCALE_CACHE overrides."""
    return Path(os.environ.get("CRLSCALE_CACHE") or platformdirs.user_cache_dir("crlscale"))


def usable_cores() -> list[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def prepare(threads: int) -> None:
    """Set XLA up for `threads` cores; call before jax is imported.

    A launcher names the cores in CRLSCALE_CPUS; processes without one spread by their number. What the
    flags of XLA are worth is in docs/performance.md."""
    cpus = os.environ.get("CRLSCALE_CPUS")
    if hasattr(os, "sched_setaffinity"):
        allowed = usable_cores()
        first = os.getpid() % len(allowed)
        spread = (allowed[first:] + allowed[:first])[:threads]
        wanted = [int(cpu) for cpu in cpus.split(",")] if cpus else spread
        os.sched_setaffinity(0, wanted)
    _add_flag("xla_cpu_enable_concurrency_optimized_scheduler", "false", threads == 1)
    _add_flag("xla_cpu_prefer_vector_width", "512", "avx512f" in cpu_flags())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    warnings.filterwarnings("ignore", message="Brax System, piplines", category=UserWarning)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import brax.envs.base  # noqa: F401  tells of optional packages that it does not need


def _add_flag(name: str, value: str, wanted: bool) -> None:
    """One more flag for XLA, if it is `wanted` and the user has not set it."""
    flags = os.environ.get("XLA_FLAGS", "")
    if wanted and name not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{name}={value}".strip()


def description() -> str:
    """Kind of device that jax computes on, the processor's name for a CPU."""
    import jax

    device = jax.devices()[0]
    return _cpu_name() if device.platform == "cpu" else device.device_kind


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a result."""
    return {"python": platform.python_version(), **{name: version(name) for name in RECORDED}}


def peak_memory() -> int:
    """Peak resident memory of this process so far [bytes]."""
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):  # unlike ru_maxrss not inherited from the parent process
            return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_seconds() -> float:
    """CPU time of this process, all threads [s]."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []  # not a Linux


def _cpuinfo(key: str) -> str:
    found = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith(key)]
    return found[0] if found else ""


def cpu_flags() -> list[str]:
    """What the processor can do, as Linux names it; empty elsewhere."""
    return _cpuinfo("flags").split()


def _cpu_name() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()
