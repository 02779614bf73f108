"""The training kernel: make_trainer -> init, epoch, evaluate, all pure, over seeds and devices.

Z seeds of one program, N envs, U unroll, S state, A action, G goal. Every array of a TrainState
but `unrolls` has a leading axis Z. Nothing here prints, times or writes, or knows what the method
does (agents/interface.py says what it is asked for).
"""

import dataclasses
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from crlscale import blocks, chunks, instability
from crlscale import evaluate as evaluation
from crlscale import replay as ring
from crlscale.agents.interface import algorithm, traced_once
from crlscale.envs import episode
from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.registry import make_env
from crlscale.mesh import DATA, SEED, on_mesh
from crlscale.methods import find_method
from crlscale.program import Hyper, Program
from crlscale.seeds import over_seeds

NEVER = instability.NEVER
COLLECTOR = 1_000_003  # folded into a key; small numbers would give keys that a split gives, too


class TrainState(NamedTuple):
    """Everything a run carries. `agent` is the studied one, `collector` another that acts in its place
    (None: it acts itself). `unrolls` int32 counts inserts and is shared by the seeds, which keeps the
    ring's write a slice under vmap. `watch` has seen every update of `agent`. `chunk` [N, H, A] is what
    the envs carry out (None for H = 1)."""

    agent: Any
    episodes: episode.Episodes
    replay: ring.Replay
    key: jax.Array
    unrolls: jax.Array
    collector: Any
    watch: instability.Watch
    chunk: jax.Array | None = None


class Tally(NamedTuple):
    """Sums of the update metrics since the last evaluation, and where a loss first was not finite
    (counted in updates since the tally began; NEVER if finite throughout)."""

    sums: dict[str, jax.Array]
    updates: jax.Array
    first_nonfinite: jax.Array


class Trainer(NamedTuple):
    """Jitted functions over Z seeds.

    init(keys [Z, 2]) -> TrainState, with an empty replay
    start_tally(state) -> Tally of zeros
    epoch(hyper, state, tally, phases, updates) -> TrainState, Tally; donates both. `phases` and
        `updates` of each phase are traced, so a prefill is an epoch of no updates
    summary(state, tally) -> dict of [Z]: means over the tally's updates, parameter norms, the onset of
        instability (an update, or NEVER) and the index of its kind in instability.KINDS
    evaluate(state, keys [Z, 2]) -> Outcome of [Z, M]
    blocks(hyper, state, keys [Z, 2]) -> dict of blocks.Norms of [Z, K] by network, from one batch
    """

    init: callable
    start_tally: callable
    epoch: callable
    summary: callable
    evaluate: callable
    blocks: callable


_SEEDS = TrainState(agent=0, episodes=0, replay=0, key=0, unrolls=None, collector=0, watch=0, chunk=0)
_TALLY = Tally(sums=0, updates=None, first_nonfinite=0)

# where they lie on a mesh: everything of the envs (the second axis, in rows of the replay the third) is
# split over its data axis, agents are whole there; what the host hands in or reads is whole everywhere
_STATE_AT = TrainState(
    agent=P(SEED),
    episodes=P(SEED, DATA),
    replay=ring.Replay(rows=P(SEED, None, DATA), ends=P(SEED, DATA)),
    key=P(SEED),
    unrolls=P(),
    collector=P(SEED),
    watch=P(SEED),
    chunk=P(SEED, DATA),
)
_TALLY_AT = Tally(sums=P(SEED), updates=P(), first_nonfinite=P(SEED))
_WHOLE = P()


def make_trainer(
    program: Program, seeds: int, env: GoalEnv | None = None, mesh: Mesh | None = None
) -> Trainer:
    """The kernel of `program` for Z = `seeds`; compiles at first use. `env` replaces the program's
    task by one that no registry knows. `mesh` (crlscale.mesh) says on which devices it computes; None
    for one."""
    kernel = _Kernel(program, env, mesh)

    def jit(function, axes, places, **options):
        if mesh is not None:
            inputs, outputs = places
            options |= {"in_shardings": on_mesh(mesh, inputs), "out_shardings": on_mesh(mesh, outputs)}
        return jax.jit(over_seeds(function, seeds, *axes, mesh), **options)

    trained, at = (_SEEDS, _TALLY), (_STATE_AT, _TALLY_AT)
    return Trainer(
        init=jit(kernel.init, ((0,), _SEEDS), ((_WHOLE,), _STATE_AT)),
        start_tally=jit(kernel.start_tally, ((_SEEDS,), _TALLY), ((_STATE_AT,), _TALLY_AT)),
        epoch=jit(
            kernel.epoch,
            ((None, *trained, None, None), trained),
            ((_WHOLE, *at, _WHOLE, _WHOLE), at),
            donate_argnums=(1, 2),
        ),
        summary=jit(kernel.summary, (trained, 0), (at, _WHOLE)),
        evaluate=jit(kernel.evaluate, ((_SEEDS, 0), 0), ((_STATE_AT, _WHOLE), _WHOLE)),
        blocks=jit(kernel.blocks, ((None, _SEEDS, 0), 0), ((_WHOLE, _STATE_AT, _WHOLE), _WHOLE)),
    )


class _Kernel:
    """The same functions for one seed; holds only what is static."""

    def __init__(self, program: Program, env: GoalEnv | None = None, mesh: Mesh | None = None):
        self.program, self.mesh = program, mesh
        self.env = env or make_env(program.task)
        self.sizes = self.env.spec
        self.algorithm = algorithm(program.agent)
        self.keep_goal = find_method(program.agent).commanded
        self.decided_size = self.sizes.action_size * program.chunk_length
        self.nets = self.algorithm.networks(program, self.decided_size)
        self.collector_nets = self._collector_nets()

    def _collector_nets(self):
        depth = self.program.collector_depth
        if depth is None:
            return None
        program = dataclasses.replace(self.program, actor_depth=depth, critic_depth=depth)
        return self.algorithm.networks(program, self.decided_size)

    def init(self, rng: jax.Array) -> TrainState:
        agent_key, env_key, key = jax.random.split(rng, 3)
        sizes, program = self.sizes, self.program
        agent, collector = self._agent(self.nets, agent_key), None
        if self.collector_nets is not None:
            collector = self._agent(self.collector_nets, jax.random.fold_in(agent_key, COLLECTOR))
        episodes = episode.begin(self.env, env_key, program.num_envs, program.reset == "frozen")
        action = jnp.zeros((program.num_envs, sizes.action_size))
        advance = partial(episode.advance, self.env, limit=1, keep_goal=self.keep_goal)
        row = jax.eval_shape(advance, episodes, action)[1]
        replay = ring.empty(row, program.replay_rows, program.replay_precision)
        chunk = chunks.begin(program.num_envs, program.chunk_length, sizes.action_size)
        unrolls = jnp.zeros((), jnp.int32)
        state = TrainState(agent, episodes, replay, key, unrolls, collector, None, chunk)
        return state._replace(watch=instability.begin(self._metrics(state)))

    def _agent(self, nets, rng: jax.Array):
        sizes = self.sizes
        return self.algorithm.init(nets, rng, sizes.state_size, self.decided_size, sizes.goal_size)

    def start_tally(self, state: TrainState) -> Tally:
        zeros = {name: jnp.zeros(()) for name in self._metrics(state)}
        return Tally(zeros, jnp.zeros((), jnp.int32), jnp.full((), NEVER, jnp.int32))

    def epoch(
        self, hyper: Hyper, state: TrainState, tally: Tally, phases: jax.Array, updates: jax.Array
    ) -> tuple[TrainState, Tally]:
        """`phases` times: one unroll of every env, then `updates` updates."""

        def phase(_, carry):
            state, tally = carry
            return self._learn(hyper, self._collect(state), tally, updates)

        return jax.lax.fori_loop(0, phases, phase, (state, tally))

    def summary(self, state: TrainState, tally: Tally) -> dict[str, jax.Array]:
        updates = tally.updates.astype(jnp.float32)
        told = partial(instability.told, updates=updates)
        means = {name: value / told(name) for name, value in tally.sums.items()}
        norms = self.algorithm.parameter_norms(state.agent)
        found = {"instability_onset": state.watch.onset, "instability_kind": state.watch.kind}
        return {**means, **norms, "first_nonfinite": tally.first_nonfinite, **found}

    def evaluate(self, state: TrainState, rng: jax.Array) -> evaluation.Outcome:
        policy = partial(self.algorithm.act_deterministic, self.nets, state.agent.actor)
        program = self.program
        sizes = (program.eval_envs, program.episode_length, program.chunk_length)
        return evaluation.rollout(self.env, policy, rng, *sizes, split=self._split)

    def blocks(self, hyper: Hyper, state: TrainState, rng: jax.Array) -> dict[str, blocks.Norms]:
        batch, noise_key = self._sample(hyper, state, rng)
        return blocks.measure(self.algorithm, self.nets, state.agent, batch, noise_key, hyper)

    # --- parts of a phase ------------------------------------------------------------------
    def _collect(self, state: TrainState) -> TrainState:
        program = self.program
        unroll_key, key = jax.random.split(state.key)
        nets, agent = self._actor(state)

        def step(carry, rng):
            episodes, chunk = carry
            decide = partial(self.algorithm.act, nets, agent.actor, episodes.env.obs, episodes.age, rng)
            action, chunk = chunks.carry_out(chunk, episodes.age, decide)
            episodes, row = episode.advance(
                self.env, episodes, action, program.episode_length, self.keep_goal
            )
            return (episodes, chunk), row

        keys = jax.random.split(unroll_key, program.unroll_length)
        (episodes, chunk), steps = jax.lax.scan(step, (state.episodes, state.chunk), keys)
        time = state.unrolls * program.unroll_length
        replay = ring.insert(state.replay, steps, time)
        acted = state._replace(episodes=episodes, replay=replay, chunk=chunk)
        return acted._replace(key=key, unrolls=state.unrolls + 1)

    def _actor(self, state: TrainState):
        """Networks and agent that act in the envs."""
        if self.collector_nets is None:
            return self.nets, state.agent
        return self.collector_nets, state.collector

    def _learn(self, hyper: Hyper, state: TrainState, tally: Tally, updates: jax.Array):
        def update(_, carry):
            agent, watch, tally, key = carry
            update_key, key = jax.random.split(key)
            before = agent
            agent, metrics = self._update(self.nets, hyper, agent, state, update_key)
            metrics |= self._ratios(tally.updates, before, agent)
            watch = instability.look(watch, metrics, hyper.target_entropy, self.decided_size)
            return agent, watch, _count(tally, metrics), key

        carry = (state.agent, state.watch, tally, state.key)
        agent, watch, tally, key = jax.lax.fori_loop(0, updates, update, carry)
        collector = self._teach_collector(hyper, state, updates)
        return state._replace(agent=agent, watch=watch, collector=collector, key=key), tally

    def _teach_collector(self, hyper: Hyper, state: TrainState, updates: jax.Array):
        """The collector after `updates` of its own, in a loop of its own and from keys of its own, so
        that it is the same to the last bit whatever the studied agent is."""
        if self.collector_nets is None:
            return None

        def update(_, carry):
            collector, key = carry
            update_key, key = jax.random.split(key)
            collector, _ = self._update(self.collector_nets, hyper, collector, state, update_key)
            return collector, key

        carry = (state.collector, jax.random.fold_in(state.key, COLLECTOR))
        return jax.lax.fori_loop(0, updates, update, carry)[0]

    def _update(self, nets, hyper: Hyper, agent, state: TrainState, rng: jax.Array):
        batch, noise_key = self._sample(hyper, state, rng)
        return traced_once(self.algorithm.update)(nets, agent, batch, noise_key, hyper)

    def _sample(self, hyper: Hyper, state: TrainState, rng: jax.Array):
        """A batch, and the key of the noise of its update."""
        batch_key, noise_key = jax.random.split(rng)
        time = state.unrolls * self.program.unroll_length
        batch = self.algorithm.sample(self.program, self.env, state.replay, batch_key, time, hyper)
        return self._split(batch), noise_key

    def _ratios(self, updates: jax.Array, before, after) -> dict[str, jax.Array]:
        return instability.update_ratios(self.algorithm.parameter_norms, updates, before, after)

    def _metrics(self, state: TrainState) -> dict:
        """Shapes of what an update tells, by name."""

        def told(agent):
            after, metrics = self._update(self.nets, self._zero_hyper(), agent, state, state.key)
            return metrics | self._ratios(state.unrolls, agent, after)

        return jax.eval_shape(told, state.agent)

    def _split(self, tree):
        """`tree`, whose arrays have rows of a batch or episodes as first axis, split over the data axis."""
        return tree if self.mesh is None else jax.lax.with_sharding_constraint(tree, P(DATA))

    @staticmethod
    def _zero_hyper() -> Hyper:
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        hyper = Hyper(*[zero] * len(Hyper._fields))
        return hyper._replace(hindsight_window=none, warmup_updates=none, gradient_clip=None)


def _count(tally: Tally, metrics: dict[str, jax.Array]) -> Tally:
    losses = [value for name, value in metrics.items() if name.endswith("_loss")]
    finite = reduce(jnp.logical_and, map(jnp.isfinite, losses))
    first = jnp.where(finite, tally.first_nonfinite, jnp.minimum(tally.first_nonfinite, tally.updates))
    sums = {name: tally.sums[name] + value for name, value in metrics.items()}
    return Tally(sums, tally.updates + 1, first)
