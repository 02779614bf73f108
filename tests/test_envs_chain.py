"""The planar arm: fingertip against an independent kinematics, hidden in the state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.base import Env
from hypothesis import given, settings
from hypothesis import strategies as st

from crlscale.envs.registry import make_env, task_spec
from crlscale.errors import CrlscaleError


def fingertip(angles):
    """By rotation matrices, link after link: [N] relative angles -> [2]."""
    place, frame = np.zeros(2), np.eye(2)
    for angle in np.asarray(angles, np.float64):
        c, s = np.cos(angle), np.sin(angle)
        frame = frame @ np.array([[c, -s], [s, c]])
        place = place + frame @ np.array([1 / len(angles), 0])
    return place


@pytest.fixture(scope="module")
def chain():
    return make_env(task_spec("chain_5"))


def pose(env, angles, goal=(0.0, 0.0)):
    return env._state(jnp.asarray(angles, jnp.float32), jnp.array(goal, jnp.float32))


@pytest.mark.parametrize("links", [2, 8, 64])
def test_sizes(links):
    """trap 14: sizes belong to the env."""
    env = make_env(task_spec(f"chain_{links}"))
    make_env(task_spec("chain_3"))
    state = env.reset(jax.random.PRNGKey(0))
    assert isinstance(env, Env)
    assert env.observation_size == 2 * links + 2 and env.action_size == links
    assert state.obs.shape == (2 * links + 2,)
    assert env.spec.cases is None and env.spec.goal_cells is None
    assert (env.spec.episode_length, env.spec.success_radius) == (50, 0.1)


@pytest.mark.parametrize("name", ["chain_1", "chain_65", "chain_08", "chain_"])
def test_other_lengths_are_refused(name):
    with pytest.raises(CrlscaleError):
        make_env(task_spec(name))


@given(st.lists(st.floats(-3.1, 3.1), min_size=5, max_size=5))
@settings(max_examples=50)
def test_fingertip_is_the_forward_kinematics(chain, angles):
    state = pose(chain, angles)
    np.testing.assert_allclose(chain.achieved(state), fingertip(np.float32(angles)), atol=2e-6)


def test_fingertip_by_hand():
    """Two links of 1/2: straight, folded back, and an elbow up then right again."""
    two = make_env(task_spec("chain_2"))
    for angles, tip in (
        ((0, 0), (1, 0)),
        ((0, np.pi), (0, 0)),
        ((np.pi / 2, -np.pi / 2), (0.5, 0.5)),
        ((np.pi / 2, 0), (0, 1)),
    ):
        np.testing.assert_allclose(two.achieved(pose(two, angles)), tip, atol=1e-6)


def test_the_state_is_cosines_and_sines_and_hides_the_fingertip(chain):
    angles = np.array([0.3, -1.0, 2.0, 0.5, -2.5])
    state = pose(chain, angles, goal=(0.2, 0.1))
    np.testing.assert_allclose(state.obs[:5], np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(state.obs[5:10], np.sin(angles), atol=1e-6)
    np.testing.assert_allclose(state.obs[10:], [0.2, 0.1])
    tip = fingertip(angles)
    assert (np.abs(np.asarray(state.obs[:10])[:, None] - tip) > 1e-3).all()


def test_step_turns_the_joints(chain):
    """angle += 0.15 a, with a clipped to 1; angles wrap without moving the arm; the goal stays."""
    angles = np.array([3.1, -3.1, 0.0, 0.2, 0.4], np.float32)
    state = chain.step(pose(chain, angles, goal=(0.3, -0.3)), jnp.array([1.0, -1.0, 7.0, 0.5, 0.0]))
    turned = angles + 0.15 * np.array([1, -1, 1, 0.5, 0])
    np.testing.assert_allclose(state.obs[:5], np.cos(turned), atol=1e-6)
    np.testing.assert_allclose(state.obs[5:10], np.sin(turned), atol=1e-6)
    assert (np.abs(state.pipeline_state) <= np.float32(np.pi)).all()
    np.testing.assert_allclose(chain.achieved(state), fingertip(turned), atol=2e-6)
    np.testing.assert_allclose(state.obs[10:], [0.3, -0.3])
    assert state.done == 0


def test_success_exactly_at_the_radius(chain):
    straight = [0.0] * 5  # fingertip at (1, 0)
    for distance, inside in ((0.0, True), (0.0999, True), (0.1001, False), (0.5, False)):
        for goal in ((1 - distance, 0), (1, distance), (1, -distance)):
            state = pose(chain, straight, goal=goal)
            assert bool(chain.at_goal(state)) is inside
            assert float(state.reward) == float(inside)


def test_starts_and_goals():
    """Angles uniform in +- pi/2; goals uniform in the disc of radius 0.9 (area, not radius)."""
    env = make_env(task_spec("chain_2"))
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.PRNGKey(4), 20_000))
    angles, goals = np.asarray(states.pipeline_state), np.asarray(states.obs[:, 4:])
    assert np.abs(angles).max() <= np.pi / 2 + 1e-6
    np.testing.assert_allclose(angles.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(angles.std(0), np.pi / np.sqrt(12), rtol=0.02)
    assert abs(np.corrcoef(angles.T)[0, 1]) < 0.03
    radius = np.linalg.norm(goals, axis=1)
    assert radius.max() <= 0.9 + 1e-6
    np.testing.assert_allclose(np.mean(radius <= 0.45), 0.25, atol=0.015)
    np.testing.assert_allclose(goals.mean(0), 0, atol=0.015)
    np.testing.assert_allclose(goals.std(0), 0.45, rtol=0.02)
    assert abs(np.corrcoef(goals[:, 0], angles[:, 0])[0, 1]) < 0.03


def test_step_under_jit_and_vmap_equals_step(chain):
    keys = jax.random.split(jax.random.PRNGKey(1), 4)
    states = jax.jit(jax.vmap(chain.reset))(keys)
    actions = jax.random.uniform(jax.random.PRNGKey(2), (4, 5), minval=-1.0)
    together = jax.jit(jax.vmap(chain.step))(states, actions)
    alone = chain.step(chain.reset(keys[2]), actions[2])
    np.testing.assert_allclose(together.obs[2], alone.obs, atol=1e-6)
