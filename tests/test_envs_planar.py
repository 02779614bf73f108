"""reacher, pusher and cheetah: their geometry by hand, starts and goals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from physics_rolls import env_of, roll, starts

from crlscale.envs import pusher
from crlscale.envs.spec import Options

KEYS = jax.random.split(jax.random.PRNGKey(3), 2000)


def goals(name, options=Options()):  # noqa: B008
    return np.asarray(quick_jit(jax.vmap(env_of(name, options).sample_goal))(KEYS))


# --- reacher ---------------------------------------------------------------------------------
def test_the_fingertip_of_the_reacher_by_trigonometry():
    """Links of 0.1 and 0.11 m; the spring engine lets joints give by some millimetres."""
    env = env_of("reacher")
    for a, b, da, db in [(0.0, 0.0, 1.0, 0.0), (0.3, -0.8, 0.5, -2.0), (2.0, 1.5, -1.0, 3.0)]:
        goal = jnp.zeros(3)
        state = env._start_at(jnp.array([a, b]), jnp.array([da, db]), goal)
        tip = [0.1 * np.cos(a) + 0.11 * np.cos(a + b), 0.1 * np.sin(a) + 0.11 * np.sin(a + b), 0.01]
        speed = [-tip[1] * da - 0.11 * np.sin(a + b) * db, tip[0] * da + 0.11 * np.cos(a + b) * db, 0]
        expected = [np.cos(a), np.cos(b), np.sin(a), np.sin(b), *tip, *speed]
        np.testing.assert_allclose(state.obs[:10], expected, atol=1e-4)
        np.testing.assert_array_equal(env.achieved(state), state.obs[4:7])


def test_goals_of_the_reacher():
    """Radius and angle uniform, within reach; the single goal a quarter turn away."""
    found = goals("reacher")
    away = np.linalg.norm(found[:, :2], axis=1)
    assert 0.19 < away.max() <= 0.2 and away.min() < 0.01
    assert abs(np.mean(away < 0.1) - 0.5) < 0.05
    assert np.abs(found[:, :2].mean(axis=0)).max() < 0.015
    assert (found[:, 2] == np.float32(0.01)).all()
    single = goals("reacher", Options(goals="single"))
    np.testing.assert_allclose(single, np.tile([0.0, 0.2, 0.01], (2000, 1)), atol=1e-7)


def test_starts_of_the_reacher():
    state, _ = starts("reacher")
    angles = np.arctan2(state[:, 2:4], state[:, :2])
    assert (np.abs(angles).max(axis=0) > 0.095).all() and np.abs(angles).max() <= 0.1001
    assert np.abs(state[:, 7:10]).max() < 0.005 * (0.21 + 0.11) + 1e-5


def test_the_published_time_step_reaches_the_engine():
    published = env_of("reacher", Options(time_step="published"))
    assert float(env_of("reacher").sys.opt.timestep) == pytest.approx(0.005)
    assert float(published.sys.opt.timestep) == pytest.approx(0.01)


def test_a_goal_in_the_state_is_appended():
    env = env_of("reacher", Options(goal_in_state=True))
    state = quick_jit(env.reset)(KEYS[0])
    assert state.obs.shape == (16,)
    np.testing.assert_array_equal(state.obs[10:13], state.obs[13:])


# --- pusher ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("pusher_easy", (-0.55, -0.2), (-0.25, 0.2)), ("pusher_hard", (-0.65, -0.55), (0.35, 0.45))],
)
def test_goals_of_the_pusher(name, low, high):
    """Offsets along y, then x, from the object's place in the model, at the object's height."""
    found = goals(name)
    offset = found[:, [1, 0]] - np.array([-0.05, 0.45])
    assert (offset >= np.array(low) - 1e-6).all() and (offset <= np.array(high) + 1e-6).all()
    spread = np.array(high) - np.array(low)
    np.testing.assert_allclose(offset.min(axis=0), low, atol=0.01 * spread.max())
    np.testing.assert_allclose(offset.max(axis=0), high, atol=0.01 * spread.max())
    np.testing.assert_allclose(offset.mean(axis=0), (np.array(low) + high) / 2, atol=0.03)
    assert (found[:, 2] == np.float32(-0.275)).all()
    single = goals(name, Options(goals="single"))
    assert len(np.unique(single, axis=0)) == 1
    np.testing.assert_allclose(
        single[0], [0.45 + (low[1] + high[1]) / 2, -0.05 + (low[0] + high[0]) / 2, -0.275], atol=1e-6
    )


@pytest.mark.parametrize("place", [None, (-0.15, 0.0), (0.0, 0.2), (-0.3, 0.05)])
def test_the_object_starts_in_its_box_clear_of_the_goal(place):
    env = env_of("pusher_hard")
    if place is None:
        chosen = jnp.asarray(goals("pusher_hard")[:, [1, 0]] - pusher.HOME[:2])
    else:
        chosen = jnp.tile(jnp.array(place), (2000, 1))
    found = np.asarray(quick_jit(jax.vmap(env._object_start))(KEYS, chosen))
    assert (found >= pusher.OBJECT_BOX[0]).all() and (found <= pusher.OBJECT_BOX[1]).all()
    assert np.linalg.norm(found - np.asarray(chosen), axis=1).min() >= 0.1699
    assert len(np.unique(found, axis=0)) > 1900  # the corner that is always clear is hardly needed


def test_offsets_and_places_of_the_object():
    offset = jnp.array([-0.1, 0.2])
    np.testing.assert_allclose(pusher._place(offset), [0.65, -0.15, -0.275], atol=1e-6)
    np.testing.assert_allclose(pusher._offset(pusher._place(offset)), offset, atol=1e-6)


def test_friction_reaches_the_pusher():
    model = env_of("pusher_easy", Options(friction=0.3)).sys.mj_model
    assert (model.geom_friction[:, 0] == 0.3).all()


@pytest.mark.slow
def test_the_object_starts_where_the_state_says():
    state, commanded = starts("pusher_easy")
    away = np.linalg.norm(state[:, 10:13] - commanded, axis=1)
    assert away.min() >= 0.1699
    np.testing.assert_allclose(state[:, 12], -0.275, atol=1e-5)
    assert not state[:, :7].any() and 0.004 < np.abs(state[:, 13:20]).max() <= 0.005


# --- cheetah ---------------------------------------------------------------------------------
def test_the_cheetah_runs_to_a_line():
    assert (goals("cheetah") == 5.0).all()
    env = env_of("cheetah")
    near, far = jnp.array([5.0]), jnp.array([-2.0])
    assert float(env.distance(near, far)) == 7.0 and float(env.distance(far, near)) == 7.0


def test_starts_of_the_cheetah():
    state, _ = starts("cheetah")
    away = np.abs(state[:, :9])
    assert (away.max(axis=0) > 0.09).all() and away.max() <= 0.1001
    assert 0.09 < state[:, 9:].std() < 0.11


def test_friction_reaches_the_cheetah():
    model = env_of("cheetah", Options(friction=0.3)).sys.mj_model
    assert (model.geom_friction[:, 0] == 0.3).all()


def test_the_state_of_the_cheetah_is_its_positions_and_velocities():
    last = roll("cheetah").last
    np.testing.assert_array_equal(last.obs[:, :9], last.pipeline_state.q)
    np.testing.assert_array_equal(last.obs[:, 9:18], last.pipeline_state.qd)
