"""Evaluation on a known trajectory: every metric worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_envs import Ruler

from crlscale.envs.registry import make_env, task_spec
from crlscale.evaluate import Outcome, per_cell, rollout, summarise

FAR = np.array([False, True, True])


def walk(cells, steps, repeats=1, fails_at=None, spread=0.0):
    """Outcome (numpy) of one walk 1, 2, ... from 0 for each goal; the policy fails in step
    `fails_at[goal]`, counted from 1."""
    env = Ruler(spread=spread, cells=cells)

    def policy(obs, age):  # [M, 3]: start, steps, goal
        fail = jnp.zeros(len(obs), bool)
        for goal, step in (fails_at or {}).items():
            fail |= (obs[:, 2] == goal) & (obs[:, 1] == step - 1)
        return jnp.where(fail, 1.0, 0.0)[:, None]

    episodes = repeats * len(cells)
    run = jax.jit(lambda key: rollout(env, policy, key, episodes, steps))
    return jax.tree.map(np.asarray, run(jax.random.PRNGKey(0)))


def test_without_failure():
    """At place t after step t, radius 0.5: goal 2 is met in step 2 only, 0 never (the start is
    no step), 1.5 in steps 1 and 2, 9 lies beyond the 4 steps."""
    outcome = walk([2.0, 0.0, 1.5, 9.0], steps=4)
    assert outcome.time_at_goal.tolist() == [1, 0, 2, 0]
    assert outcome.first_hit.tolist() == [2, 0, 1, 0]
    assert outcome.survival.tolist() == [4, 4, 4, 4]
    assert all(x.dtype == np.int32 for x in outcome)


def test_until_the_first_failure():
    """Survival counts the failing step; that step and all later ones are not at the goal, though
    the env walks on: goal 2 fails in step 2 itself, 3.5 fails between its two hits, 3 later on."""
    outcome = walk([2.0, 3.5, 3.0], steps=6, fails_at={2.0: 2, 3.5: 4, 3.0: 5})
    assert outcome.time_at_goal.tolist() == [0, 1, 1]
    assert outcome.first_hit.tolist() == [0, 3, 3]
    assert outcome.survival.tolist() == [2, 4, 5]


def test_goals_in_turn_and_equally_often():
    outcome = walk([1.0, 2.0, 3.0], steps=4, repeats=3)
    assert outcome.first_hit.tolist() == [1, 2, 3] * 3


def test_every_goal_cell_of_a_maze_equally_often():
    """The goal in the observation that the policy sees is the cell of the episode's index."""
    env = make_env(task_spec("point_u_maze"))
    cells = np.asarray(jax.vmap(env._goal_of)(jnp.asarray(env.spec.maze.goals)))
    seen = []

    def policy(obs, age):
        jax.debug.callback(lambda goals: seen.append(np.asarray(goals)), obs[:, 4:])
        return jnp.zeros((len(obs), 2))

    jax.block_until_ready(jax.jit(lambda k: rollout(env, policy, k, 12, 1))(jax.random.PRNGKey(0)))
    jax.effects_barrier()
    np.testing.assert_array_equal(seen[0], np.concatenate([cells, cells]))


def test_fresh_keys_draw_fresh_starts_and_goals():
    """trap 11: over episodes and evaluations starts and goals differ; the same key repeats them."""
    env = Ruler(spread=8.0)

    @jax.jit
    def run(key):
        return rollout(env, lambda obs, age: jnp.zeros((len(obs), 1)), key, 200, 8)

    one, same, other = (jax.tree.map(np.asarray, run(jax.random.PRNGKey(k))) for k in (1, 1, 2))
    assert (one.first_hit == same.first_hit).all() and (one.first_hit != other.first_hit).any()
    assert len(np.unique(one.first_hit)) > 5
    # start and goal are uniform over 8: goal - start is triangular, hit in 8 steps with 0.46
    assert 0.3 < np.mean(one.first_hit > 0) < 0.6


def outcome(time, hit, survival):
    return Outcome(*(np.array(x, np.int32) for x in (time, hit, survival)))


def test_summary_by_hand():
    """Three cells in two rounds; cells 1 and 2 are far. Cell 0 hits twice, 1 once, 2 never."""
    measured = summarise(
        outcome([4, 1, 0, 2, 0, 0], [3, 7, 0, 5, 0, 0], [9, 9, 9, 9, 6, 3]), cells=3, far=FAR
    )
    expected = {
        "eval_episodes": 6,
        "time_at_goal_all": 7 / 6,
        "success_rate_all": 0.5,
        "first_hit_all": 5.0,
        "survival_all": 7.5,
        "coverage_all": 2 / 3,
        "time_at_goal_far": 0.25,
        "success_rate_far": 0.25,
        "first_hit_far": 7.0,
        "survival_far": 6.75,
        "coverage_far": 0.5,
        "time_at_goal_near": 3.0,
        "success_rate_near": 1.0,
        "first_hit_near": 4.0,
        "survival_near": 9.0,
        "coverage_near": 1.0,
    }
    assert measured == pytest.approx(expected)
    assert all(value is None or isinstance(value, int | float) for value in measured.values())


def test_undefined_is_null_never_zero():
    """trap 10: no hit has no first_hit; no cells, no coverage; no far set, no far columns."""
    never = outcome([0, 0], [0, 0], [5, 5])
    measured = summarise(never, cells=None, far=None)
    assert measured["first_hit_all"] is None and measured["coverage_all"] is None
    assert measured["success_rate_all"] == 0.0
    assert {key.rsplit("_", 1)[1] for key in measured if key != "eval_episodes"} == {"all"}
    unset = summarise(never, cells=2, far=np.array([False, False]))
    assert not [key for key in unset if key.endswith(("far", "near"))]
    assert unset["coverage_all"] == 0.0
    everything = summarise(never, cells=2, far=np.array([True, True]))
    assert "time_at_goal_far" in everything and "time_at_goal_near" not in everything


def test_coverage_counts_cells_reached_in_half_of_their_episodes():
    """Four rounds of two cells: cell 0 hit in 2 of 4 (covered), cell 1 in 1 of 4 (not)."""
    hits = [3, 3, 3, 0, 0, 0, 0, 0]
    assert summarise(outcome(hits, hits, [9] * 8), cells=2, far=None)["coverage_all"] == 0.5


def test_record_of_each_goal_cell():
    records = per_cell(outcome([4, 1, 0, 2, 0, 0], [3, 7, 0, 5, 0, 0], [9, 9, 9, 9, 6, 3]), cells=3)
    assert records == [
        {
            "goal_cell": 0,
            "episodes": 2,
            "time_at_goal": 3.0,
            "success_rate": 1.0,
            "first_hit": 4.0,
            "survival": 9.0,
        },
        {
            "goal_cell": 1,
            "episodes": 2,
            "time_at_goal": 0.5,
            "success_rate": 0.5,
            "first_hit": 7.0,
            "survival": 7.5,
        },
        {
            "goal_cell": 2,
            "episodes": 2,
            "time_at_goal": 0.0,
            "success_rate": 0.0,
            "first_hit": None,
            "survival": 6.0,
        },
    ]


def test_summaries_agree_with_a_walk():
    """From the rollout to the metrics: goals 1 (near), 2 and 9 (far) of which 9 is never met."""
    measured = summarise(walk([1.0, 2.0, 9.0], steps=4, repeats=2), cells=3, far=FAR)
    assert measured["time_at_goal_far"] == 0.5 and measured["first_hit_far"] == 2.0
    assert measured["coverage_far"] == 0.5 and measured["coverage_near"] == 1.0
    assert measured["success_rate_all"] == pytest.approx(2 / 3)
