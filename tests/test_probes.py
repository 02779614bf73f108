"""Every method on tasks whose best behaviour is known: it must find it, from its own data.

B batch, N envs. All run the real kernel; only the task is none that a registry knows.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from probe_envs import Blind, Line, OneStep
from scipy import stats

from crlscale import train
from crlscale.agents import film_critic, hazards, twin_critics
from crlscale.config import RunConfig
from crlscale.methods import METHODS
from crlscale.program import split

DISCOUNT, LENGTH = 0.7, 12
TD = [name for name, method in METHODS.items() if method.commanded]
SMALL = {
    "depth": 2,
    "width": 32,
    "representation_size": 16,
    "batch_size": 64,
    "num_envs": 16,
    "unroll_length": 10,
    "episode_length": LENGTH,
    "prefill_steps": 30,
    "replay_capacity": 1000,
    "discount": DISCOUNT,
    "eval_episodes": 200,
    "actor_learning_rate": 1e-3,
    "critic_learning_rate": 2e-3,
}
# What a method needs on a task this small: more noise where a third of the actions does nothing,
# entropy that does not outweigh a reward of at most 1 / (1 - 0.7).
NEEDS = {
    **{name: {"target_entropy": -1.0, "alpha_learning_rate": 1e-2, "polyak": 0.05} for name in TD},
    "td3": {"exploration_noise": 0.7, "polyak": 0.05},
    "td3_her": {"exploration_noise": 0.7, "polyak": 0.05},
    "gcsl": {"commanded_horizon": 1},  # told to be there at once; by default it has until the end
}


@functools.cache
def trained(agent, env_class, *arguments, phases=60, updates=25, **settings):
    """(kernel, state) after `phases` x `updates` updates of 64 rows, 16 envs."""
    config = RunConfig(agent=agent, **{**SMALL, **NEEDS.get(agent, {}), **settings})
    program, hyper = split(config)
    kernel = train._Kernel(program, env_class(*arguments))
    state = quick_jit(kernel.init)(jax.random.PRNGKey(0))
    tally = quick_jit(kernel.start_tally)(state)
    epoch = quick_jit(kernel.epoch)
    state, tally = epoch(hyper, state, tally, jnp.int32(3), jnp.int32(0))
    state, _ = epoch(hyper, state, tally, jnp.int32(phases), jnp.int32(updates))
    return kernel, state


def acts(kernel, state, observation):
    act = quick_jit(functools.partial(kernel.algorithm.act_deterministic, kernel.nets))
    age = jnp.zeros(len(observation), jnp.int32)
    return np.asarray(act(state.agent.actor, observation, age))


def best_time(kernel, cells, length):
    """Steps at the goal of the best walks from the starts of `PRNGKey(1)` in episodes of `length`."""
    start = np.asarray(jax.vmap(kernel.env.reset)(jax.random.split(jax.random.PRNGKey(1), 200)).obs)
    away = np.abs(start[:, :cells].argmax(1) - start[:, cells:].argmax(1))
    return np.sum(length - np.maximum(1, away) + 1)


@pytest.mark.slow
@pytest.mark.parametrize("agent", METHODS)
def test_one_step(agent):
    """The best action is the goal; what ends the episode is kept, though it is a failure. Without chunks:
    a second action would only ever be recorded as the first one again, so nothing says what others do."""
    alone = {"chunk_length": 1} if METHODS[agent].chunk_length else {}
    kernel, state = trained(agent, OneStep, **alone)
    goal = jnp.linspace(-0.6, 0.6, 25)[:, None]
    miss = np.abs(acts(kernel, state, jnp.concatenate([jnp.ones_like(goal), goal], 1)) - goal)
    assert np.mean(miss < 0.15) > 0.9, miss.ravel()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "cells"),
    [(a, 2) for a in ("sac", "td3", "td3_her", "gcsl")]
    + [(a, 5) for a in METHODS if a not in ("sac", "td3", "td3_her")],
)
def test_walks_to_its_goal_and_stays(agent, cells):
    """Two cells and five: from every cell to every goal, the step that the method was told to find.
    Cloning imitates its own detours, so it must find most of the time at the goal, not all. TD3 gets
    two: actions here are steps of a stair, on which a deterministic policy has no slope to follow (on
    five cells td3_her reached 62 %)."""
    kernel, state = trained(agent, Line, cells)
    outcome = quick_jit(kernel.evaluate)(state, jax.random.PRNGKey(1))
    reached = np.asarray(outcome.time_at_goal).sum() / best_time(kernel, cells, LENGTH)
    assert reached > (0.75 if agent in ("gcbc", "gcsl") else 0.95), reached


@pytest.mark.slow
def test_chunks_find_blindly_what_single_steps_cannot():
    """Five cells that are shown at the start only, episodes of six steps: a chunk of six is a whole walk,
    while single steps cannot know after the first one which way they were going, nor when to stop. From
    then on they can do but one thing for each goal: walk into the wall for the outer two, else stay; of
    the 130 steps at the goal of the best walks over all 25 pairs that gives 102, or 0.78."""
    reached = {}
    for length in (1, 6):
        kernel, state = trained("crl", Blind, 5, episode_length=6, chunk_length=length)
        outcome = quick_jit(kernel.evaluate)(state, jax.random.PRNGKey(1))
        reached[length] = np.asarray(outcome.time_at_goal).sum() / best_time(kernel, 5, 6)
    assert reached[6] > 0.87 and reached[1] < 0.82, reached


@pytest.mark.slow
def test_with_negatives_of_its_own_trajectory_it_finds_the_same():
    kernel, state = trained("crl", Line, 5, trajectory_negatives=4)
    outcome = quick_jit(kernel.evaluate)(state, jax.random.PRNGKey(1))
    assert np.asarray(outcome.time_at_goal).sum() / best_time(kernel, 5, LENGTH) > 0.95


@pytest.mark.slow
def test_values_are_those_of_the_line():
    """Where the next cell is d from the goal, the value is 0.7^d / 0.3: nothing for d steps, then 1 in
    every step; the time limit does not end it, since no step before it is treated as the last."""
    kernel, state = trained("td3_her", Line, 2)
    cell, goal, move = (x.ravel() for x in np.meshgrid(np.arange(2), np.arange(2), (-1, 0, 1)))
    one_hot = np.eye(2, dtype=np.float32)
    action = 0.8 * move[:, None].astype(np.float32)
    inputs = map(jnp.asarray, (one_hot[cell], action, one_hot[goal]))
    found = twin_critics.smaller_value(kernel.nets.critic, state.agent.critic, *inputs)
    expected = DISCOUNT ** np.abs(np.clip(cell + move, 0, 1) - goal) / (1 - DISCOUNT)
    assert np.abs(np.asarray(found) - expected).mean() < 0.1
    assert np.corrcoef(found, expected)[0, 1] > 0.95


# --- when a goal is reached ----------------------------------------------------------------
def chances_of_moves(kernel, state, cells, commanded):
    """P(left, nowhere, right) [cells, 3] of the policy that collects, exactly: a Gaussian's mass beyond
    atanh(1/3)."""
    goal = np.tile(np.eye(cells, dtype=np.float32)[commanded], (cells, 1))
    observation = np.concatenate([np.eye(cells, dtype=np.float32), goal], 1)
    mean, log_std = kernel.nets.actor.apply(state.agent.actor, jnp.asarray(observation))
    edge, spread = np.arctanh(1 / 3), np.exp(np.asarray(log_std[:, 0], np.float64))
    left = stats.norm.cdf(-edge, mean[:, 0], spread)
    right = stats.norm.sf(edge, mean[:, 0], spread)
    return np.stack([left, 1 - left - right, right], 1)


def survival_of_a_walk(moves, start, goal, steps):
    """P(goal not reached within k steps), k = 0 ... steps - 1, where the first step ends in `start` and
    the walk goes on with chances `moves` [cells, 3]."""
    cells, place, survival = len(moves), np.zeros(len(moves)), [1.0]
    place[start] = 1.0
    for _ in range(steps - 1):
        place[goal] = 0.0
        survival.append(place.sum())
        after = np.zeros(cells)
        for cell in range(cells):
            for move, chance in zip((-1, 0, 1), moves[cell], strict=True):
                after[np.clip(cell + move, 0, cells - 1)] += place[cell] * chance
        place = after
    return np.array(survival)


@pytest.mark.slow
def test_survival_is_that_of_the_walk():
    """A policy that does not change, of one commanded goal, walks over three cells: the time to each cell
    has a known distribution from each cell and move. With goals of random rows only, which no outcome
    chose, the learned survival is it, though the time limit cuts all records."""
    kernel, state = trained(
        "srl",
        Line,
        3,
        1,
        random_share=1.0,
        current_share=0.0,
        actor_learning_rate=1e-9,
        alpha_learning_rate=1e-9,
        critic_learning_rate=5e-4,
        batch_size=256,
        num_envs=64,
        phases=120,
        updates=40,
    )
    moves = chances_of_moves(kernel, state, 3, commanded=1)
    assert moves.min() > 0.02 and moves.max() < 0.9, "a walk, with a way to everywhere"
    cell, goal, move = (x.ravel() for x in np.meshgrid(np.arange(3), np.arange(3), (-1, 0, 1)))
    one_hot = np.eye(3, dtype=np.float32)
    action = 0.7 * move[:, None].astype(np.float32)
    nets, critic = kernel.nets.critic, state.agent.critic
    side = nets.goal.apply(critic.goal, jnp.asarray(one_hot[goal]))
    found = film_critic.outputs(nets, critic, side, jnp.asarray(one_hot[cell]), jnp.asarray(action))
    found = np.exp(hazards.log_survival(found.hazards))
    starts = np.clip(cell + move, 0, 2)
    true = np.stack(
        [survival_of_a_walk(moves, s, g, LENGTH) for s, g in zip(starts, goal, strict=True)]
    )
    seen = moves[cell, move + 1] > 0.1  # of moves that are hardly made little is known
    assert seen.sum() == 24
    assert np.abs(found - true)[seen].mean() < 0.02 and np.abs(found - true)[seen].max() < 0.12
