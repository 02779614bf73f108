"""What this machine reaches by itself: updates, samples, env steps, whole training. No jax until measured."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from crlscale import device
from crlscale.bench.against import SAMPLED_ENVS, refuse_unknown
from crlscale.bench.ratios import MEASURED_SECONDS, REPEATS, Side, in_turn
from crlscale.envs.registry import task_spec

FILES = {"update": "updates", "sampler": "samples", "step": "env_steps", "phase": "phases"}  # by part
TASKS = ("chain_8",)


@dataclass(frozen=True)
class Asked:
    """What is measured. Phases run `envs` at the smallest depth and batch."""

    parts: tuple[str, ...]
    depths: tuple[int, ...]
    batches: tuple[int, ...]
    width: int
    envs: tuple[str, ...] = TASKS
    threads: int = 1

    def __post_init__(self):
        """Refuse what there is not before anything is measured."""
        refuse_unknown(self, FILES)


def measure(asked: Asked, part: str) -> Iterator[dict]:
    """The rows of `part` (crlscale/bench/columns.py), each as soon as it is measured; everything is
    compiled, nothing from a cache."""
    device.prepare(asked.threads)
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    yield from {"update": _updates, "sampler": _samples, "step": _steps, "phase": _phases}[part](asked)


def _updates(asked: Asked) -> Iterator[dict]:
    from crlscale.bench.updates import bench

    yield from map(asdict, bench(asked.depths, asked.batches, asked.width))


def _steps(asked: Asked) -> Iterator[dict]:
    from crlscale.bench.env_steps import bench_envs

    specs = [task_spec(name) for name in asked.envs]
    yield from map(asdict, bench_envs(specs, SAMPLED_ENVS, asked.threads))


def _samples(asked: Asked) -> Iterator[dict]:
    from crlscale.bench import ours

    batch_size = min(asked.batches)
    for num_envs in SAMPLED_ENVS:
        side = ours.samples(num_envs, batch_size)
        triples = num_envs * ours.STEPS // batch_size * batch_size
        rate = triples / _fastest(side, MEASURED_SECONDS)
        yield {
            "num_envs": num_envs,
            "batch_size": batch_size,
            **_told(side),
            "triples_per_second": rate,
        }


def _phases(asked: Asked) -> Iterator[dict]:
    from crlscale.bench import ours

    shape = min(asked.depths), asked.width, min(asked.batches)
    for env in asked.envs:
        config = ours.phase_config(env, *shape)
        side, _ = ours.phases(config)
        seconds = _fastest(side, 0.0)
        yield {
            "env": env,
            **dict(zip(("depth", "width", "batch_size"), shape, strict=True)),
            "num_envs": config.num_envs,
            **_told(side),
            "seconds": seconds,
            "env_steps_per_second": config.num_envs * config.unroll_length / seconds,
            "updates_per_second": config.updates / seconds,
        }


def _fastest(side: Side, least: float) -> float:
    """Seconds of one job."""
    return min(in_turn([side.seconds], REPEATS, least)[0])


def _told(side: Side) -> dict:
    return {
        "compile_seconds": side.compile_seconds,
        "temporary_megabytes": side.temporary_bytes / 1e6,
    }
