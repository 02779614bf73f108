"""The training kernel: make_trainer -> init, epoch, evaluate, all pure and vmapped over seeds.

Z seeds of one program, N envs, U unroll, S state, A action, G goal. Every array of a TrainState
but `unrolls` has a leading axis Z. Nothing here prints, times or writes.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale import evaluate as evaluation
from crlscale import replay as ring
from crlscale.agents import crl
from crlscale.envs import episode
from crlscale.envs.registry import make_env
from crlscale.program import Hyper, Program

NEVER = jnp.iinfo(jnp.int32).max


class TrainState(NamedTuple):
    """Everything a run carries. `unrolls` int32 counts inserts and is shared by the seeds, which
    keeps the ring's write a slice under vmap."""

    agent: crl.Agent
    episodes: episode.Episodes
    replay: ring.Replay
    key: jax.Array
    unrolls: jax.Array


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
    summary(state, tally) -> dict of [Z]: means over the tally's updates, parameter norms
    evaluate(state, keys [Z, 2]) -> Outcome of [Z, M]
    """

    init: callable
    start_tally: callable
    epoch: callable
    summary: callable
    evaluate: callable


_SEEDS = TrainState(agent=0, episodes=0, replay=0, key=0, unrolls=None)
_TALLY = Tally(sums=0, updates=None, first_nonfinite=0)


def make_trainer(program: Program, seeds: int) -> Trainer:
    """The kernel of `program` for Z = `seeds`; compiles at first use."""
    kernel = _Kernel(program)

    def jit(function, in_axes, out_axes, **options):
        over = jax.vmap if seeds > 1 else _one_seed
        return jax.jit(over(function, in_axes=in_axes, out_axes=out_axes), **options)

    trained = (_SEEDS, _TALLY)
    return Trainer(
        init=jit(kernel.init, (0,), _SEEDS),
        start_tally=jit(kernel.start_tally, (_SEEDS,), _TALLY),
        epoch=jit(kernel.epoch, (None, *trained, None, None), trained, donate_argnums=(1, 2)),
        summary=jit(kernel.summary, trained, 0),
        evaluate=jit(kernel.evaluate, (_SEEDS, 0), 0),
    )


def _one_seed(function, in_axes, out_axes):
    """What jax.vmap does over an axis of length 1, without the batched matmuls, which take 1.7
    times as long on a CPU (docs/performance.md)."""

    def drop(axes, tree):
        return tree if axes is None else jax.tree.map(lambda x: x[0], tree)

    def add(axes, tree):
        return tree if axes is None else jax.tree.map(lambda x: x[None], tree)

    def over(change, axes, value):
        if not isinstance(axes, TrainState | Tally):
            return change(axes, value)
        return type(axes)(*[change(a, v) for a, v in zip(axes, value, strict=True)])

    def wrapped(*arguments):
        results = function(*[over(drop, a, v) for a, v in zip(in_axes, arguments, strict=True)])
        if not isinstance(out_axes, tuple) or isinstance(out_axes, TrainState | Tally):
            return over(add, out_axes, results)
        return tuple(over(add, a, v) for a, v in zip(out_axes, results, strict=True))

    return wrapped


class _Kernel:
    """The same functions for one seed; holds only what is static."""

    def __init__(self, program: Program):
        self.program = program
        self.env = make_env(program.task)
        self.sizes = self.env.spec
        self.nets = crl.networks(program, self.sizes.action_size)

    def init(self, rng: jax.Array) -> TrainState:
        agent_key, env_key, key = jax.random.split(rng, 3)
        sizes, program = self.sizes, self.program
        agent = crl.init(self.nets, agent_key, sizes.state_size, sizes.action_size, sizes.goal_size)
        episodes = episode.begin(self.env, env_key, program.num_envs, program.reset == "frozen")
        action = jnp.zeros((program.num_envs, sizes.action_size))
        row = jax.eval_shape(partial(episode.advance, self.env, limit=1), episodes, action)[1]
        replay = ring.empty(row, program.replay_rows)
        return TrainState(agent, episodes, replay, key, jnp.zeros((), jnp.int32))

    def start_tally(self, state: TrainState) -> Tally:
        metrics = jax.eval_shape(self._update, self._zero_hyper(), state.agent, state, state.key)[1]
        zeros = {name: jnp.zeros(()) for name in metrics}
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
        means = {name: value / updates for name, value in tally.sums.items()}
        return {**means, **crl.parameter_norms(state.agent), "first_nonfinite": tally.first_nonfinite}

    def evaluate(self, state: TrainState, rng: jax.Array) -> evaluation.Outcome:
        policy = partial(crl.act_deterministic, self.nets, state.agent.actor)
        program = self.program
        return evaluation.rollout(self.env, policy, rng, program.eval_envs, program.episode_length)

    # --- parts of a phase ------------------------------------------------------------------
    def _collect(self, state: TrainState) -> TrainState:
        program = self.program
        unroll_key, key = jax.random.split(state.key)

        def step(episodes, rng):
            action = crl.act(self.nets, state.agent.actor, episodes.env.obs, rng)
            return episode.advance(self.env, episodes, action, program.episode_length)

        keys = jax.random.split(unroll_key, program.unroll_length)
        episodes, steps = jax.lax.scan(step, state.episodes, keys)
        time = state.unrolls * program.unroll_length
        replay = ring.insert(state.replay, steps, time)
        return state._replace(episodes=episodes, replay=replay, key=key, unrolls=state.unrolls + 1)

    def _learn(self, hyper: Hyper, state: TrainState, tally: Tally, updates: jax.Array):
        def update(_, carry):
            agent, tally, key = carry
            update_key, key = jax.random.split(key)
            agent, metrics = self._update(hyper, agent, state, update_key)
            return agent, _count(tally, metrics), key

        carry = (state.agent, tally, state.key)
        agent, tally, key = jax.lax.fori_loop(0, updates, update, carry)
        return state._replace(agent=agent, key=key), tally

    def _update(self, hyper: Hyper, agent: crl.Agent, state: TrainState, rng: jax.Array):
        program = self.program
        batch_key, noise_key = jax.random.split(rng)
        batch = ring.sample(
            state.replay,
            batch_key,
            program.batch_size,
            time=state.unrolls * program.unroll_length,
            capacity=program.replay_capacity,
            discount=hyper.discount,
            window=hyper.hindsight_window,
        )
        return crl.update(self.nets, agent, batch, noise_key, hyper)

    @staticmethod
    def _zero_hyper() -> Hyper:
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        hyper = Hyper(*[zero] * len(Hyper._fields))
        return hyper._replace(hindsight_window=none, warmup_updates=none)


def _count(tally: Tally, metrics: dict[str, jax.Array]) -> Tally:
    finite = jnp.isfinite(metrics["critic_loss"]) & jnp.isfinite(metrics["actor_loss"])
    first = jnp.where(finite, tally.first_nonfinite, jnp.minimum(tally.first_nonfinite, tally.updates))
    sums = {name: tally.sums[name] + value for name, value in metrics.items()}
    return Tally(sums, tally.updates + 1, first)
