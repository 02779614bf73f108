"""A collector: another agent acts and fills the replay from which the studied one learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit

from crlscale import train
from crlscale.config import RunConfig
from crlscale.program import split

SMALL = {
    "env": "chain_2",
    "width": 8,
    "batch_size": 16,
    "num_envs": 4,
    "unroll_length": 10,
    "prefill_steps": 20,
    "replay_capacity": 100,
    "episode_length": 15,
    "representation_size": 4,
    "actor_learning_rate": 1e-2,
    "critic_learning_rate": 1e-2,
}


def trained(updates=5, **settings):
    """TrainState after a prefill and four phases of `updates` updates."""
    program, hyper = split(RunConfig(**{**SMALL, **settings}))
    kernel = train._Kernel(program)
    state = quick_jit(kernel.init)(jax.random.PRNGKey(0))
    tally = quick_jit(kernel.start_tally)(state)
    epoch = quick_jit(kernel.epoch)
    for phases, number in ((2, 0), (4, updates)):
        state, tally = epoch(hyper, state, tally, jnp.int32(phases), jnp.int32(number))
    return jax.tree.map(np.asarray, state)


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_learners_of_different_depths_see_the_same_data():
    """Bitwise, the collector itself too, which has learned meanwhile; another collector leaves other
    data, and so does a run without one."""
    shallow, deep = trained(depth=1, collector_depth=2), trained(depth=8, collector_depth=2)
    assert same(shallow.replay, deep.replay) and same(shallow.collector, deep.collector)
    untrained = trained(updates=0, depth=1, collector_depth=2)
    assert not same(untrained.collector.actor, shallow.collector.actor)
    assert not same(untrained.agent.actor, shallow.agent.actor)
    other = trained(depth=1, collector_depth=1)
    assert not np.array_equal(other.replay.rows.action, shallow.replay.rows.action)
    assert not np.array_equal(
        trained(depth=1).replay.rows.action[20:60], shallow.replay.rows.action[20:60]
    )


@pytest.mark.slow
def test_a_collector_of_the_same_depth_is_another_agent():
    """trap 11: its parameters and its batches come from keys of its own."""
    state = trained(depth=1, collector_depth=1)
    pairs = zip(jax.tree.leaves(state.agent.actor), jax.tree.leaves(state.collector.actor), strict=True)
    kernels = [(a, b) for a, b in pairs if a.ndim == 2]
    assert kernels and all((a != b).all() for a, b in kernels)


def test_a_run_without_one_carries_nothing_of_it():
    program, _ = split(RunConfig(**SMALL, depth=1))
    assert jax.eval_shape(train._Kernel(program).init, jax.random.PRNGKey(0)).collector is None
