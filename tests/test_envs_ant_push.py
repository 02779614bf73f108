"""The ant that pushes a box out of its way: yard, goals, starts, success, failure, episodes."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from physics_rolls import env_of, noise, program, roll

from crlscale.envs import episode
from crlscale.envs.ant_push import BLOCKS, push_scene
from crlscale.envs.registry import make_env, task_spec
from crlscale.envs.spec import Options
from crlscale.errors import CrlscaleError

NAME = "ant_push"


def test_sizes():
    spec = task_spec(NAME)
    assert (spec.state_size, spec.goal_size, spec.action_size) == (31, 2, 8)
    assert dict(spec.radii) == {"standard": 0.5}
    assert spec.env_step_seconds == pytest.approx(0.05)
    assert (spec.episode_length, spec.discount, spec.engine.backends) == (1000, 0.99, ("mjx",))
    assert task_spec(NAME, Options(goal_in_state=True)).state_size == 33


@pytest.mark.parametrize(
    "options", [Options(backend="spring"), Options(stitch=1), Options(success="easy")]
)
def test_options_that_it_does_not_have_are_refused(options):
    with pytest.raises(CrlscaleError) as refused:
        task_spec(NAME, options)
    assert refused.value.remedy


def test_loads_from_any_folder(tmp_path, monkeypatch):
    """trap 17"""
    monkeypatch.chdir(tmp_path)
    assert make_env(task_spec(NAME)).sys.q_size() == 17


# --- goals and starts ------------------------------------------------------------------------
def test_goals_are_in_two_squares():
    env = env_of(NAME)
    goals = np.asarray(
        jax.jit(jax.vmap(env.sample_goal))(jax.random.split(jax.random.PRNGKey(0), 2000))
    )
    first = np.all((goals >= [16, 8]) & (goals <= [18, 10]), axis=1)
    second = np.all((goals >= [8, 16]) & (goals <= [10, 18]), axis=1)
    assert np.all(first ^ second)
    assert 0.44 < first.mean() < 0.56
    np.testing.assert_allclose(goals[first].mean(0), [17, 9], atol=0.1)
    np.testing.assert_allclose(goals[second].std(0), 2 / np.sqrt(12), rtol=0.1)
    for (x, y), half in BLOCKS:
        assert not np.any(np.all(np.abs(goals - [x, y]) < np.array(half), axis=1))


def test_a_single_goal():
    env = env_of(NAME, Options(goals="single"))
    for seed in (0, 1):
        np.testing.assert_array_equal(env.sample_goal(jax.random.PRNGKey(seed)), [17.0, 9.0])


def test_starts():
    first = roll(NAME, limit=20, steps=50).first
    assert np.all(np.abs(first.obs[:, :2]) <= 0.1) and np.ptp(first.obs[:, 0]) > 0
    assert np.all(np.abs(first.obs[:, 29:31] - 8.0) <= 0.1) and np.ptp(first.obs[:, 29]) > 0
    np.testing.assert_allclose(np.linalg.norm(first.obs[:, 3:7], axis=1), 1.0, atol=1e-6)


# --- success and failure ---------------------------------------------------------------------
@pytest.fixture(scope="module")
def state():
    return jax.tree.map(lambda leaf: leaf[0], roll(NAME, limit=20, steps=50).first)


@pytest.mark.parametrize(("away", "inside"), [(0.5, True), (0.4999, True), (0.5001, False)])
def test_success_is_exactly_at_the_radius(state, away, inside):
    obs = jnp.asarray(state.obs).at[:2].set(0.0).at[31:].set(jnp.array([away, 0.0]))
    assert bool(env_of(NAME).at_goal(state.replace(obs=obs))) is inside


@pytest.mark.parametrize(
    ("height", "failed"), [(0.19, True), (0.21, False), (0.99, False), (1.01, True)]
)
def test_fails_outside_the_healthy_heights(state, height, failed):
    physics = state.pipeline_state
    x = physics.x.replace(pos=jnp.asarray(physics.x.pos).at[0, 2].set(height))
    assert bool(env_of(NAME)._failed(physics.replace(x=x))) is failed


# --- the scene -------------------------------------------------------------------------------
def test_the_ant_moves_the_box_and_the_box_stops():
    """In plain MuJoCo, an ant thrown at the box from the side."""
    scene = push_scene(task_spec(NAME))
    scene.compiler.fusestatic = True
    model = scene.compile()
    data = mujoco.MjData(model)
    data.qpos[:15] = [3.3, 8, 0.75, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1]
    data.qvel[0] = 5.0
    mujoco.mj_step(model, data, 200)
    assert data.qpos[15] > 0.05 and np.isfinite(data.qpos).all()
    slide = mujoco.MjData(model)
    slide.qvel[14] = 1.0
    mujoco.mj_step(model, slide, 500)
    # mass over damping = half a second
    np.testing.assert_allclose(slide.qpos[15], 0.5, atol=0.02)
    assert abs(slide.qvel[14]) < 1e-3


def test_the_published_masses():
    masses = push_scene(task_spec(NAME))
    masses.compiler.fusestatic = True
    model = masses.compile()
    np.testing.assert_allclose(model.body("torso").mass, 3.871042, atol=1e-6)
    np.testing.assert_allclose(model.body("aux_1").mass, 0.313262, atol=1e-6)


# --- episodes --------------------------------------------------------------------------------
def test_a_rollout():
    """traps 1 and 2: own start and goal in every episode; what was reached is the next state."""
    found = roll(NAME, limit=20, steps=50)
    rows = found.rows
    assert np.isfinite(rows.state).all() and np.isfinite(rows.reached).all()
    running = rows.ending[:-1] == episode.RUNNING
    np.testing.assert_array_equal(rows.reached[:-1][running], rows.state[1:, :, :2][running])
    assert (~running).sum() >= 8
    for at, env in np.argwhere(~running):
        assert not np.array_equal(rows.reached[at, env], rows.state[at + 1, env, :2])
        assert not np.array_equal(found.goals[at, env], found.goals[at + 1, env])


def test_a_key_decides_the_rollout():
    actions, limit = noise(NAME, 50, 4), jnp.int32(20)
    first = roll(NAME, limit=20, steps=50).rows.reached
    again, other = (
        program(NAME)(jax.random.PRNGKey(seed), actions, limit).rows.reached for seed in (0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_long_rollouts_stay_finite():
    rows = roll(NAME, steps=200, seed=1).rows
    assert np.isfinite(rows.state).all()
