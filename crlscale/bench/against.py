"""Ours beside a peer: which parts of which peer there are, and the ratios of them. No jax until measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from crlscale import device
from crlscale.bench.ratios import Ratio
from crlscale.envs.registry import task_spec
from crlscale.errors import CrlscaleError

PEERS = {"naive": ("update", "sampler", "phase")}
PHASE_TASKS = ("ant", "ant_u4_maze", "ant_big_maze")


@dataclass(frozen=True)
class Question:
    """What is to be measured against `peer`; phases run `envs`."""

    peer: str
    parts: tuple[str, ...]
    depths: tuple[int, ...]
    batches: tuple[int, ...]
    width: int
    envs: tuple[str, ...] = PHASE_TASKS
    rounds: int = 3
    threads: int = 1

    def __post_init__(self):
        """Refuse what there is not before anything is measured."""
        if self.peer not in PEERS:
            raise CrlscaleError(
                f"unknown peer {self.peer!r}; legal: {', '.join(PEERS)}",
                value=self.peer,
                remedy=f"--against {next(iter(PEERS))}",
            )
        for part in self.parts:
            if part not in PEERS[self.peer]:
                legal = ", ".join(PEERS[self.peer])
                raise CrlscaleError(
                    f"unknown part {part!r} of {self.peer}; legal: {legal}",
                    value=part,
                    remedy=f"--parts {','.join(PEERS[self.peer])}",
                )
        if self.rounds < 1:
            raise CrlscaleError("--rounds is at least 1", value=self.rounds, remedy="--rounds 3")
        for env in self.envs:
            task_spec(env)


def against(question: Question) -> Iterator[list[Ratio]]:
    """The ratios of each job as soon as it is measured; everything is compiled, nothing from a cache."""
    device.prepare(question.threads)
    import jax

    from crlscale.bench.naive.parts import ratios

    jax.config.update("jax_enable_compilation_cache", False)
    q = question
    yield from ratios(q.parts, q.depths, q.batches, q.width, q.envs, q.rounds)
