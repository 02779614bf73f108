"""Ours beside a peer: which peers there are, what of each, and the ratios. No jax until measured."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crlscale import device
from crlscale.bench.ratios import Job, Ratio, compare
from crlscale.envs.registry import task_spec
from crlscale.errors import CrlscaleError
from crlscale.settings import make_config

PARTS = {"naive": ("update", "sampler", "phase"), "jaxgcrl": ("update", "sampler")}  # by peer
DEPTHS = (4, 16, 64)  # that are measured if none are asked for
DEEPEST = {"jaxgcrl": 16}  # its compile time grows with the square of the depth
NOTES = {
    "naive": "naive: the public design written out on the same jax; it learns the same.",
    "jaxgcrl": "jaxgcrl 0.2.8 on jax 0.4.25, in an environment of its own, is not like for like: depth D is its"
    " n_hidden D + 1, which counts the input layer; its actor has no LayerNorm; it adds skips every 4th layer"
    " and not by block; it has no gradient norms among its metrics; its jaxlib has no switch for wide vectors."
    " It samples one window of every env, we any steps of all.",
}
PHASE_TASKS = ("ant", "ant_u4_maze", "ant_big_maze")
SAMPLED_ENVS = (64, 256)


@dataclass(frozen=True)
class Question:
    """What is measured against `peer`. Phases run `envs`, at the smallest depth and batch."""

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
        refuse_unknown(self, parts_of(self.peer), f" of {self.peer}")
        if self.rounds < 1:
            raise CrlscaleError("--rounds is at least 1", value=self.rounds, remedy="--rounds 3")
        self._not_too_deep()

    def _not_too_deep(self) -> None:
        deepest, limit = max(self.depths), DEEPEST.get(self.peer)
        if limit is not None and deepest > limit:
            raise CrlscaleError(
                f"{self.peer} is measured to depth {limit}: a deeper one takes minutes to compile",
                value=deepest,
                remedy=f"--depths {','.join(map(str, depths_of(self.peer)))}",
            )


def refuse_unknown(asked, legal: Iterable[str], whose: str = "") -> None:
    """A part that is not `legal`, an unknown task or a shape that no run can have is a CrlscaleError."""
    for part in asked.parts:
        if part not in legal:
            raise CrlscaleError(
                f"unknown part {part!r}{whose}; legal: {', '.join(legal)}",
                value=part,
                remedy=f"--parts {','.join(legal)}",
            )
    for env in asked.envs:
        task_spec(env)
    for depth in asked.depths:
        for batch_size in asked.batches:
            make_config({"depth": depth, "width": asked.width, "batch_size": batch_size})


def depths_of(peer: str | None) -> tuple[int, ...]:
    """What is measured beside `peer` (or without one) if no depths are asked for."""
    limit = DEEPEST.get(peer)
    return tuple(depth for depth in DEPTHS if limit is None or depth <= limit)


def parts_of(peer: str) -> tuple[str, ...]:
    """What can be measured against `peer`."""
    if peer not in PARTS:
        raise CrlscaleError(
            f"unknown peer {peer!r}; legal: {', '.join(PARTS)}",
            value=peer,
            remedy=f"--against {next(iter(PARTS))}",
        )
    return PARTS[peer]


def against(question: Question) -> Iterator[list[Ratio]]:
    """The ratios of each job as soon as it is measured; everything is compiled, nothing from a cache."""
    device.prepare(question.threads)
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    measure = {"update": _updates, "sampler": _samplers, "phase": _phases}
    with _sides(question.peer) as theirs:
        for part in question.parts:
            yield from measure[part](question, theirs)


@contextmanager
def _sides(peer: str):
    """What makes the sides of `peer`: functions update, samples and phases, where it has the part."""
    if peer == "naive":
        from crlscale.bench.naive import sides

        yield sides
        return
    from crlscale.bench.jaxgcrl.sides import peer as in_its_environment

    with in_its_environment() as worker:
        yield worker


def _updates(asked: Question, theirs) -> Iterator[list[Ratio]]:
    from crlscale.bench import ours

    for batch_size in asked.batches:
        for depth in asked.depths:
            shape = depth, asked.width, batch_size
            both = {p: ours.update(ours.update_config(*shape, p)) for p in ours.PRECISIONS}
            peer = theirs.update(ours.update_config(*shape))
            job = Job("update", None, *shape)
            yield compare(job, asked.peer, both, peer, asked.rounds)


def _samplers(asked: Question, theirs) -> Iterator[list[Ratio]]:
    from crlscale.bench import ours

    batch_size = min(asked.batches)
    for num_envs in SAMPLED_ENVS:
        mine = {"float32": ours.samples(num_envs, batch_size)}
        peer = theirs.samples(num_envs, batch_size)
        job = Job("sampler", batch_size=batch_size, num_envs=num_envs)
        yield compare(job, asked.peer, mine, peer, asked.rounds)


def _phases(asked: Question, theirs) -> Iterator[list[Ratio]]:
    from crlscale.bench import ours

    for env in asked.envs:
        shape = env, min(asked.depths), asked.width, min(asked.batches)
        made = {p: ours.phases(ours.phase_config(*shape, p)) for p in ours.PRECISIONS}
        peer = theirs.phases(ours.phase_config(*shape), made["float32"][1])
        job = Job("phase", *shape, ours.PHASE["num_envs"])
        sides = {precision: side for precision, (side, _) in made.items()}
        yield compare(job, asked.peer, sides, peer, asked.rounds, least=0.0)
