"""The humanoid: its long state against brax's own and against the published one with a goal body."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from brax.envs.humanoid import Humanoid as BraxHumanoid
from jaxprs import quick_jit
from physics_rolls import env_of, roll, starts

from crlscale.envs import scene
from crlscale.envs.registry import task_spec
from crlscale.envs.spec import Options

LEGACY = Options(goal_in_state=True)


@pytest.fixture(scope="module")
def poses():
    """Positions [4, 24] and velocities [4, 23] in the middle of a fall."""
    physics = roll("humanoid").last.pipeline_state
    return physics.q, physics.qd


@pytest.fixture(scope="module")
def reference():
    """brax's env, whose observation is the published state."""
    with scene.brax_arrays():
        return BraxHumanoid(backend="spring", exclude_current_positions_from_observation=False)


def observed(env, q, qd, controls):
    with scene.brax_arrays():
        return np.asarray(env._get_obs(env.pipeline_init(q, qd), controls))


def test_the_state_is_the_published_one(poses, reference):
    env = env_of("humanoid")
    controls = jnp.linspace(-0.4, 0.4, 17)
    for q, qd in zip(*poses, strict=True):
        state = env._observe(env._begin(q, qd), controls, jnp.zeros(3), jnp.zeros((), bool))
        expected = observed(reference, q, qd, controls)
        assert expected.shape == (246,)
        np.testing.assert_allclose(state.obs[:246], expected, rtol=1e-4, atol=1e-4)


def test_the_legacy_state_has_the_goal_as_a_body(poses, reference, monkeypatch):
    """Against brax's observation of a model with a sphere of 1 kg on two slides."""
    robot = scene.robot("humanoid")
    target = robot.worldbody.add_body(name="target", pos=[0, 0, 1.25])
    for axis in np.eye(3)[:2]:
        target.add_joint(
            type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, limited=False, armature=0, damping=0
        )
    target.add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.5, 0, 0], mass=1, contype=0, conaffinity=0
    )
    scene.set_gears(robot, [350.0] * 11 + [100.0] * 6)
    system = scene.compile_scene(robot, task_spec("humanoid").engine)
    monkeypatch.setattr(reference, "sys", system)
    env, goal = env_of("humanoid", LEGACY), jnp.array([1.5, -2.0, 1.25])
    controls = jnp.linspace(-0.4, 0.4, 17)
    for q, qd in zip(*poses, strict=True):
        state = env._observe(env._begin(q, qd), controls, goal, jnp.zeros((), bool))
        expected = observed(reference, jnp.append(q, goal[:2]), jnp.append(qd, jnp.zeros(2)), controls)
        assert expected.shape == (268,)
        np.testing.assert_allclose(state.obs[:268], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(state.obs[268:], goal)


def test_the_goal_does_not_move_the_centre_of_mass_but_in_the_legacy_state(poses):
    q, qd = poses[0][0], poses[1][0]
    rest, sound = jnp.zeros(17), jnp.zeros((), bool)
    inertia = slice(24 + 23, 24 + 23 + 110)
    legacy = slice(26 + 25, 26 + 25 + 110)
    near, far = jnp.array([1.0, 0.0, 1.25]), jnp.array([5.0, 0.0, 1.25])

    def part(options, goal, where):
        env = env_of("humanoid", options)
        return np.asarray(env._observe(env._begin(q, qd), rest, goal, sound).obs[where])

    np.testing.assert_array_equal(part(Options(), near, inertia), part(Options(), far, inertia))
    assert np.abs(part(LEGACY, near, legacy) - part(LEGACY, far, legacy)).max() > 0.1


@pytest.mark.parametrize("name", ["humanoid", pytest.param("humanoid_u_maze", marks=pytest.mark.slow)])
def test_every_start_is_the_models_pose(name):
    state, _ = starts(name)
    pose = np.array(env_of(name).sys.init_q)
    pose[:2] = [2.0, 2.0] if "maze" in name else [0.0, 0.0]
    np.testing.assert_allclose(state[:, :24], np.tile(pose, (len(state), 1)), atol=1e-6)
    assert not state[:, 24:47].any() and not state[:, -23:].any()


def test_goals_lie_in_a_ring():
    """Radius and angle uniform, so half of the goals lie within 3 m."""
    keys = jax.random.split(jax.random.PRNGKey(3), 2000)
    found = np.asarray(quick_jit(jax.vmap(env_of("humanoid").sample_goal))(keys))
    away = np.linalg.norm(found[:, :2], axis=1)
    assert 1.0 <= away.min() < 1.05 and 4.95 < away.max() <= 5.0
    assert abs(np.mean(away < 3.0) - 0.5) < 0.05
    assert np.abs(np.mean(found[:, :2] / away[:, None], axis=0)).max() < 0.07
    assert (found[:, 2] == 1.25).all()
    single = env_of("humanoid", Options(goals="single"))
    assert single.sample_goal(keys[0]).tolist() == single.sample_goal(keys[1]).tolist() == [5, 0, 1.25]


def test_goals_in_a_maze_are_centres_of_cells_at_the_height_of_a_torso():
    keys = jax.random.split(jax.random.PRNGKey(3), 500)
    found = np.asarray(quick_jit(jax.vmap(env_of("humanoid_u_maze").sample_goal))(keys))
    cells = {(case.row * 2.0, case.column * 2.0, 1.25) for case in task_spec("humanoid_u_maze").cases}
    assert {tuple(goal) for goal in found.tolist()} == cells


@pytest.mark.parametrize(("height", "failed"), [(0.99, 1), (1.01, 0), (1.99, 0), (2.01, 1)])
def test_it_fails_outside_the_healthy_heights(height, failed):
    physics = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), roll("humanoid").last).pipeline_state
    moved = physics.x.replace(pos=physics.x.pos.at[0, 2].set(height))
    assert bool(env_of("humanoid")._failed(physics.replace(x=moved))) == failed


def test_the_state_it_fell_into_is_kept():
    """trap 2: the last step of an episode reaches a torso below 1 m; the next one starts anew."""
    found = roll("humanoid")
    failed = found.rows.ending == 1
    assert failed.sum() >= 4  # random actions fell every env within 200 steps
    assert (found.rows.reached[failed][:, 2] < 1.0).all()
    assert (found.rows.reached[~failed][:, 2] >= 1.0).all()
    after = failed[:-1]
    np.testing.assert_allclose(found.rows.state[1:][after][:, 2], 1.4, atol=1e-6)
    assert (found.rows.episode[1:][after] == found.rows.episode[:-1][after] + 1).all()


def test_friction_reaches_floor_and_robot():
    assert (env_of("humanoid", Options(friction=0.3)).sys.mj_model.geom_friction[:, 0] == 0.3).all()


def test_the_published_time_step_reaches_the_engine():
    options = Options(time_step="published")
    assert float(env_of("humanoid").sys.opt.timestep) == pytest.approx(0.0015)
    assert float(env_of("humanoid", options).sys.opt.timestep) == pytest.approx(0.003)
