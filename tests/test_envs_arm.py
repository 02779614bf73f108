"""The Panda arm on MJX: its model against golden numbers, goals and starts, actions, success, episodes."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from brax.envs.base import State
from jaxprs import quick_jit
from mujoco import mjx
from physics_rolls import env_of, noise, program, roll

from crlscale.envs import episode
from crlscale.envs.arm_scene import arm_scene
from crlscale.envs.chain_kinematics import kinematics
from crlscale.envs.registry import make_env, task_spec
from crlscale.envs.scene import brax_arrays
from crlscale.envs.spec import Options
from crlscale.errors import CrlscaleError

# name: sizes of state, goal, action; where the state holds the achieved goal
TABLE = {
    "arm_reach": (13, 3, 4, slice(7, 10)),
    "arm_push_easy": (17, 3, 5, slice(0, 3)),
    "arm_push_hard": (17, 3, 5, slice(0, 3)),
    "arm_binpick_easy": (17, 3, 5, slice(0, 3)),
    "arm_binpick_hard": (17, 3, 5, slice(0, 3)),
    "arm_grasp": (23, 7, 5, slice(16, 23)),
}
# name: centre and half-lengths of the box of goals, and of the box of the cube's starts
PLACES = {
    "arm_reach": ((0, 0.5, 0.3), (0.2, 0.2, 0.2), None, None),
    "arm_push_easy": ((0.1, 0.6, 0.03), (0.1, 0.1, 0), (-0.1, 0.6), 0.1),
    "arm_push_hard": ((0.25, 0.65, 0.03), (0.25, 0.25, 0), (-0.25, 0.65), 0.25),
    "arm_binpick_easy": ((0.17, 0.6, 0.03), (0.09, 0.09, 0), (-0.17, 0.6), 0.09),
    "arm_binpick_hard": ((0.3, 0.6, 0.03), (0.15, 0.15, 0), (-0.3, 0.6), 0.15),
    "arm_grasp": ((0.0, 0.6, 0.07), (0.3, 0.3, 0), (0.0, 0.6), 0.3),
}
START = [1.571, 0.742, 0, -1.571, 0, 3.054, 1.449]
OTHERS = [name for name in TABLE if name != "arm_push_easy"]

every_arm = pytest.mark.parametrize("name", TABLE)
# one arm by default, as each compiles for half a minute
rolled = pytest.mark.parametrize(
    "name", ["arm_push_easy", *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)]
)


def rolled_out(name):
    """50 random steps of 4 envs, in episodes of 20 steps."""
    return roll(name, limit=20, steps=50)


# --- plain data ------------------------------------------------------------------------------
@every_arm
def test_sizes(name):
    spec = task_spec(name)
    state, goal, action, _ = TABLE[name]
    assert (spec.state_size, spec.goal_size, spec.action_size) == (state, goal, action)
    assert task_spec(name, Options(goal_in_state=True)).state_size == state + goal
    assert spec.env_step_seconds == pytest.approx(0.05)
    assert (spec.episode_length, spec.discount, spec.engine.backends) == (1000, 0.99, ("mjx",))


def test_radii():
    assert dict(task_spec("arm_reach").radii) == {"easy": 0.3, "standard": 0.1, "hard": 0.03}
    assert dict(task_spec("arm_grasp").radii) == {"standard": 0.05}
    for name in ("arm_push_easy", "arm_push_hard", "arm_binpick_easy", "arm_binpick_hard"):
        assert dict(task_spec(name).radii) == {"standard": 0.1}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arm_push_easy", Options(backend="spring")),
        ("arm_push_easy", Options(success="hard")),
        ("arm_push_easy", Options(stitch=2)),
        ("arm_reach", Options(friction=0.3)),
    ],
)
def test_options_that_an_arm_does_not_have_are_refused(name, options):
    with pytest.raises(CrlscaleError) as refused:
        task_spec(name, options)
    assert refused.value.remedy


# --- the model -------------------------------------------------------------------------------
def at_start(model):
    """Plain MuJoCo at the start pose with moving joints."""
    data = mujoco.MjData(model)
    data.qpos[:] = [-0.1, 0.6, 0.07, 1, 0, 0, 0, *START, 0.04, 0.04]
    data.qvel[6:13] = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7]
    mujoco.mj_forward(model, data)
    return data


def test_forces_are_those_of_the_published_model():
    """Golden numbers of Menagerie's Panda in the public arm_push_easy scene, as brax loads it."""
    data = at_start(arm_scene(True).compile())
    bias = [0.13601, -43.23207, 0.68559, 17.53011, 0.41543, 1.73192, -0.05071]
    np.testing.assert_allclose(data.qfrc_bias[6:13], bias, atol=2e-5)
    np.testing.assert_allclose(data.xpos[8], [-0.000138, 0.678043, 0.370831], atol=2e-6)


def test_a_second_of_motion_is_that_of_the_published_model():
    model = arm_scene(True).compile()
    data = at_start(model)
    for step in range(500):
        data.ctrl[:7] = np.array(START) + 0.3 * np.sin(0.01 * step + np.arange(7))
        data.ctrl[7:] = 0.0
        mujoco.mj_step(model, data)
    end = [1.30429, 0.56305, 0.03697, -0.75386, 0.10417, 1.51189, 0.6041, 2e-05, -1e-05]
    np.testing.assert_allclose(data.qpos[7:], end, atol=5e-5)
    np.testing.assert_allclose(data.qpos[:3], [-0.1, 0.6, 0.02989], atol=5e-5)


@pytest.mark.parametrize(("bins", "cube"), [(None, False), (None, True), (((0.3, 0.6), 0.19), True)])
def test_kinematics_is_that_of_mujoco(bins, cube):
    model = arm_scene(cube, bins).compile()
    positions = np.random.default_rng(0).uniform(-1, 1, model.nq)
    data = mujoco.MjData(model)
    data.qpos[:] = positions
    mujoco.mj_kinematics(model, data)
    with brax_arrays():
        device = mjx.put_model(model)
        blank = mjx.make_data(device).replace(qpos=jnp.asarray(positions, jnp.float32))
        found = jax.jit(lambda d: kinematics(device, d))(blank)
    for field in ("xpos", "xquat", "xipos", "xanchor", "xaxis", "geom_xpos"):
        np.testing.assert_allclose(
            getattr(found, field), getattr(data, field), atol=3e-6, err_msg=field
        )
    for field in ("xmat", "ximat", "geom_xmat"):
        expected = getattr(data, field).reshape(-1, 3, 3)
        np.testing.assert_allclose(getattr(found, field), expected, atol=3e-6, err_msg=field)


def test_friction_is_that_between_cube_and_table():
    model = arm_scene(True, friction=0.3).compile()
    sliding = {
        frozenset((model.geom(a).name, model.geom(b).name)): friction[:2].tolist()
        for a, b, friction in zip(model.pair_geom1, model.pair_geom2, model.pair_friction, strict=True)
    }
    assert sliding.pop(frozenset(("cube", "table"))) == [0.3, 0.3]
    assert set(map(tuple, sliding.values())) == {(1.0, 1.0)}


def test_loads_from_any_folder(tmp_path, monkeypatch):
    """trap 17"""
    monkeypatch.chdir(tmp_path)
    assert make_env(task_spec("arm_binpick_hard")).sys.mj_model.ngeom == 5 + 8


# --- goals and starts ------------------------------------------------------------------------
@every_arm
def test_where_goals_and_cubes_are(name):
    env = env_of(name)
    goal, half, cube, spread = PLACES[name]
    keys = jax.random.split(jax.random.PRNGKey(0), (2, 2000))
    goals = jax.jit(jax.vmap(env.sample_goal))(keys[0])
    positions = jax.jit(jax.vmap(env._start_positions))(keys[1], goals)
    goals, positions = np.asarray(goals, np.float64), np.asarray(positions)
    if name == "arm_grasp":
        np.testing.assert_allclose(goals[:, 0] - goals[:, 3], 0.075, atol=1e-6)
        np.testing.assert_allclose(goals[:, 6], 0.075, atol=1e-6)
        goals = (goals[:, :3] + goals[:, 3:6]) / 2
        np.testing.assert_allclose(goals[:, :2], positions[:, :2], atol=1e-6)
    offset = goals - np.array(goal)
    assert np.all(np.abs(offset) <= np.array(half) + 1e-6)
    # mean and spread of a uniform, to five standard errors
    scale = np.maximum(np.array(half), 1e-9)
    assert np.all(np.abs(offset.mean(0)) <= 5 * scale / np.sqrt(3 * 2000) + 1e-6)
    np.testing.assert_allclose(offset.std(0), np.array(half) / np.sqrt(3), rtol=0.06, atol=1e-6)
    joints = positions if cube is None else positions[:, 7:14]
    np.testing.assert_allclose(joints, np.tile(START, (2000, 1)), atol=1e-6)
    if cube is not None:
        away = positions[:, :2] - np.array(cube)
        assert np.all(np.abs(away) <= spread + 1e-6)
        np.testing.assert_allclose(away.std(0), spread / np.sqrt(3), rtol=0.06)
        assert np.all(positions[:, 14:] == np.float32(0.04))
        if name != "arm_grasp":  # start and goal are drawn apart
            assert abs(np.corrcoef(away[:, 0], offset[:, 0])[0, 1]) < 0.15


@every_arm
def test_a_single_goal(name):
    env = env_of(name, Options(goals="single"))
    first, second = (env.sample_goal(jax.random.PRNGKey(seed)) for seed in (0, 1))
    assert jnp.array_equal(first, second)
    centre = first if name != "arm_grasp" else (first[:3] + first[3:6]) / 2
    np.testing.assert_allclose(centre, PLACES[name][0], atol=1e-6)


# --- success ---------------------------------------------------------------------------------
def standing(name, achieved, goal):
    """A brax State that holds no more than the achieved and the commanded goal."""
    env = env_of(name)
    state = jnp.zeros(env.spec.state_size).at[TABLE[name][3]].set(jnp.asarray(achieved))
    obs = jnp.concatenate([state, jnp.asarray(goal, jnp.float32)])
    return State(pipeline_state=None, obs=obs, reward=jnp.zeros(()), done=jnp.zeros(()))


@pytest.mark.parametrize("name", [n for n in TABLE if n != "arm_grasp"])
def test_success_is_exactly_at_the_radius(name):
    env = env_of(name)
    direction = np.array([0.6, 0.0, 0.8], np.float32)
    for share, inside in ((0.0, True), (0.9999, True), (1.0001, False)):
        goal = share * env.spec.success_radius * direction
        assert bool(env.at_goal(standing(name, jnp.zeros(3), goal))) is inside
    at = jnp.array([env.spec.success_radius, 0.0, 0.0])
    assert bool(env.at_goal(standing(name, jnp.zeros(3), at)))


@pytest.mark.parametrize(
    ("midpoint", "gap", "inside"),
    [
        (0.0, 0.0, True),
        (0.0499, 0.0199, True),
        (0.0501, 0.0, False),
        (0.0, 0.0201, False),
        (0.0, -0.0201, False),
        (0.0, -0.0199, True),
    ],
)
def test_a_grasp_needs_midpoint_and_gap(midpoint, gap, inside):
    goal = np.array([0.0375, 0.6, 0.03, -0.0375, 0.6, 0.03, 0.075], np.float32)
    achieved = goal + np.array([0, 0, midpoint, 0, 0, midpoint, gap], np.float32)
    assert bool(env_of("arm_grasp").at_goal(standing("arm_grasp", achieved, goal))) is inside


# --- actions ---------------------------------------------------------------------------------
@every_arm
def test_actions_span_the_ranges(name):
    env = env_of(name)
    low = np.array([0.3491, 0.0, 0.0, -3.0718, 0.0, 2.3562, 1.4487])
    high = np.array([2.7925, 1.48353, 0.0, -0.0698, 0.0, 3.7525, 1.4487])
    ones = jnp.ones(env.action_size)
    for action, target in ((-ones, low), (ones, high), (3 * ones, high), (0 * ones, (low + high) / 2)):
        np.testing.assert_allclose(env._controls(action)[:7], target, atol=1e-6)
    assert env._controls(ones).shape == (env.sys.act_size(),)


@pytest.mark.parametrize(("grip", "travel"), [(1.0, 0.0), (1e-6, 0.0), (0.0, 0.08), (-1.0, 0.08)])
def test_the_gripper_is_open_or_closed(grip, travel):
    action = jnp.zeros(5).at[4].set(grip)
    np.testing.assert_allclose(env_of("arm_push_easy")._controls(action)[7:], travel)


# --- episodes --------------------------------------------------------------------------------
@rolled
def test_a_rollout_stays_physical(name):
    rows = rolled_out(name).rows
    assert np.isfinite(rows.state).all() and np.isfinite(rows.reached).all()
    assert not np.any(rows.ending == episode.FAILURE)
    joints = rows.state[..., :7] if name == "arm_reach" else rows.state[..., 3:10]
    assert np.abs(joints[..., [2, 4]]).max() < 0.3  # held, as far as the servos' strength goes
    # joint 7 starts at its control, but with gain 1000 and bias 2000 a servo rests at half of it
    assert joints[..., 6].max() < 1.46 and joints[..., 6].min() > 1.4487 / 2 - 0.05
    assert np.ptp(joints[..., 0]) > 0.3  # and steered
    if name != "arm_reach":
        assert rows.state[..., 2].min() > 0.015  # pressed from above, but not into the table


@rolled
def test_what_is_reached_is_the_next_state(name):
    """trap 2: also where the episode ends."""
    found = rolled_out(name)
    rows, part = found.rows, TABLE[name][3]
    running = rows.ending[:-1] == episode.RUNNING
    np.testing.assert_array_equal(rows.reached[:-1][running], rows.state[1:][..., part][running])
    assert np.all((rows.ending == episode.TIME_LIMIT) == (np.arange(1, 51) % 20 == 0)[:, None])
    ended = np.argwhere(~running)
    assert len(ended) == 8
    for at, env in ended:
        assert not np.array_equal(rows.reached[at, env], rows.state[at + 1, env, part])


@rolled
def test_every_episode_has_its_own_start_and_goal(name):
    """trap 1"""
    found = rolled_out(name)
    goals = found.goals[[0, 20, 40]].reshape(12, -1)
    assert len(np.unique(goals[:, 0])) == 12
    starts = found.rows.state[[0, 20, 40]].reshape(12, -1)
    assert len(np.unique(starts[:, 0])) == (1 if name == "arm_reach" else 12)
    assert np.array_equal(found.rows.episode[:, 0], np.arange(50) // 20)


@rolled
def test_a_key_decides_the_rollout(name):
    actions = noise(name, 50, 4)
    first = rolled_out(name).rows.reached
    again, other = (
        program(name)(jax.random.PRNGKey(seed), actions, jnp.int32(20)).rows.reached for seed in (0, 1)
    )
    assert np.array_equal(first, again)
    assert name == "arm_reach" or not np.array_equal(first, other)


@rolled
def test_reward_is_success(name):
    found, env = rolled_out(name), env_of(name)
    last = found.last
    np.testing.assert_array_equal(last.reward, np.asarray(env.at_goal(last), np.float32))


def test_the_goal_of_a_grasp_is_carried_along_with_the_cube():
    """The first second: the cube falls from 0.07 to the table, its goal with it."""
    env = env_of("arm_grasp")
    goal = env.sample_goal(jax.random.PRNGKey(0))
    start = quick_jit(env.reset)(jax.random.PRNGKey(0))
    fallen = start.pipeline_state._replace(
        q=start.pipeline_state.q.at[:3].add(jnp.array([0.01, 0, -0.04]))
    )
    moved = fallen.q[:3] - start.pipeline_state.q[:3]
    follow = env._follow(env._goal(start), start.pipeline_state, fallen)
    assert goal.shape == follow.shape
    np.testing.assert_allclose(follow[:3] - start.obs[23:26], moved, atol=1e-6)
    np.testing.assert_allclose(follow[6], 0.075, atol=1e-6)


@pytest.mark.slow
def test_a_step_is_that_of_mjx():
    env = env_of("arm_push_easy")
    start = quick_jit(env.reset)(jax.random.PRNGKey(0))
    action = jnp.array([0.3, 0.5, -0.2, 0.1, 1.0])
    mine = quick_jit(env.step)(start, action).pipeline_state
    with brax_arrays():
        data = mjx.make_data(env.sys).replace(
            qpos=start.pipeline_state.q, qvel=start.pipeline_state.qd, ctrl=env._controls(action)
        )
        step = quick_jit(lambda d: mjx.step(env.sys, d))
        for _ in range(25):
            data = step(data)
    np.testing.assert_allclose(mine.q, data.qpos, atol=1e-4)
    np.testing.assert_allclose(mine.qd, data.qvel, atol=2e-3)


@pytest.mark.slow
def test_one_env_alone_does_the_same():
    env = env_of("arm_push_easy")
    keys = jax.random.split(jax.random.PRNGKey(5), 4)
    states = quick_jit(jax.vmap(env.reset))(keys)
    actions = jax.random.uniform(jax.random.PRNGKey(6), (4, 5), minval=-1.0)
    together = quick_jit(jax.vmap(env.step))(states, actions)
    alone = quick_jit(env.step)(jax.tree.map(lambda leaf: leaf[2], states), actions[2])
    np.testing.assert_allclose(together.obs[2], alone.obs, atol=1e-4)


@pytest.mark.slow
@every_arm
def test_long_rollouts_stay_finite(name):
    rows = roll(name, steps=200, seed=1).rows
    assert np.isfinite(rows.state).all()
    assert not np.any(rows.ending == episode.FAILURE)
