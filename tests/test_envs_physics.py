"""What every task on a physics engine promises, task by task. More of each body: test_envs_<body>.py."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from physics_rolls import env_of, noise, program, roll, starts

from crlscale.envs import episode, scene
from crlscale.envs.registry import task_names, task_spec
from crlscale.envs.spec import Engine, Options
from crlscale.errors import CrlscaleError

# name: sizes of state, goal, action; seconds of an env step; where the state holds the achieved goal
TABLE = {
    "reacher": (10, 3, 2, 0.02, slice(4, 7)),
    "pusher_easy": (20, 3, 7, 0.05, slice(10, 13)),
    "pusher_hard": (20, 3, 7, 0.05, slice(10, 13)),
    "cheetah": (18, 1, 6, 0.05, slice(0, 1)),
    "ant": (29, 2, 8, 0.05, slice(0, 2)),
    "ant_ball": (31, 2, 8, 0.05, slice(29, 31)),
    **{
        f"ant_{maze}": (29, 2, 8, 0.05, slice(0, 2))
        for maze in (
            *(f"{m}_maze" for m in ("u", "u2", "u3", "u4", "u5", "u6", "u7", "big", "hardest")),
            "u_pitfall",
            "big_pitfall",
        )
    },
    **{
        f"humanoid{maze}": (246, 3, 17, 0.015, slice(0, 3))
        for maze in ("", "_u_maze", "_big_maze", "_hardest_maze", "_u_pitfall", "_big_pitfall")
    },
}
RADII = {
    "reacher": {"standard": 0.05},
    "pusher_easy": {"standard": 0.1, "hard": 0.05},
    "pusher_hard": {"standard": 0.1, "hard": 0.05},
    "cheetah": {"standard": 0.5},
    "ant": {"easy": 2.0, "standard": 0.5},
}

every_listed = pytest.mark.parametrize("name", TABLE)
QUICK = ["reacher", "cheetah", "ant", "ant_u_pitfall", "humanoid"]
SLOW = ["pusher_easy", "ant_ball", "ant_hardest_maze", "humanoid_u_maze"]  # slow to compile
every_task = pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)


# --- plain data ------------------------------------------------------------------------------
def test_the_table_is_complete():
    families = ("reacher", "pusher", "cheetah", "ant", "humanoid")
    listed = {n for n in task_names() if task_spec(n).family in families}
    assert listed - {"ant_push"} == set(TABLE)


@every_listed
def test_sizes(name):
    """trap 14: sizes belong to the task."""
    spec = task_spec(name)
    state, goal, action, seconds, _ = TABLE[name]
    assert (spec.state_size, spec.goal_size, spec.action_size) == (state, goal, action)
    assert spec.env_step_seconds == pytest.approx(seconds)
    assert dict(spec.radii) == RADII.get(name, {"standard": 0.5})
    assert (spec.episode_length, spec.discount, spec.engine.backend) == (1000, 0.99, "spring")


@every_listed
def test_a_goal_in_the_state_shows_in_its_size(name):
    spec = task_spec(name)
    more = 22 if spec.family == "humanoid" else spec.goal_size
    given = task_spec(name, Options(goal_in_state=True))
    assert given.state_size == spec.state_size + more
    assert spec.legacy_in_state is (spec.family == "humanoid")


@pytest.mark.parametrize(
    ("name", "published"), [("reacher", (0.01, 4)), ("humanoid", (0.003, 10)), ("ant", None)]
)
def test_published_time_step(name, published):
    assert task_spec(name).legacy_time_step is (published is not None)
    if published:
        engine = task_spec(name, Options(time_step="published")).engine
        assert (engine.time_step, engine.sub_steps) == published


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ant", Options(stitch=2)),
        ("ant", Options(maze="#### #R.# ####")),
        ("ant", Options(time_step="published")),
        ("ant_u_maze", Options(success="easy")),
        ("ant_u_maze", Options(backend="bullet")),
        ("ant_u_maze", Options(maze="#### #R.# ####")),
        ("ant_maze", Options()),
        ("humanoid_u_maze", Options(time_step="published")),
        ("humanoid", Options(stitch=2)),
        ("humanoid", Options(time_step="published", backend="mjx")),
        ("reacher", Options(friction=0.5)),
        ("cheetah", Options(goals="single")),
        ("cheetah", Options(backend="bullet")),
    ],
)
def test_options_that_a_task_does_not_have_are_refused(name, options):
    """trap 9"""
    with pytest.raises(CrlscaleError) as refused:
        task_spec(name, options)
    assert refused.value.remedy


@pytest.mark.parametrize("name", ["ant_maze", "humanoid_maze", "ant_pitfall", "humanoid_pitfall"])
def test_a_layout_of_the_users(name):
    spec = task_spec(name, Options(maze="###### #R.#F# #....# ######"))
    assert [case.far for case in spec.cases] == [False, True, False, False, False, False]
    assert spec.maze.holes.any() == name.endswith("pitfall")


def test_far_goals_of_the_humanoid_in_the_big_maze():
    """tasks.md: one more than the ant has, in row 2, column 5."""
    far = [
        {(case.row, case.column) for case in task_spec(f"{body}_big_maze").cases if case.far}
        for body in ("ant", "humanoid")
    ]
    assert far[1] - far[0] == {(2, 5)} and far[0] < far[1]


# --- scenes ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ant", "humanoid", "half_cheetah", "pusher"])
def test_a_robot_is_what_brax_makes_of_it(name, tmp_path, monkeypatch):
    """Bodies, joints and actuators of our way of loading equal those of brax's own."""
    from importlib.resources import files

    from brax.io import mjcf

    monkeypatch.chdir(tmp_path)  # MuJoCo logs what it deprecates into the working directory
    with scene.brax_arrays():
        theirs = mjcf.load(str(files("brax.envs") / "assets" / f"{name}.xml"))
    engine = Engine("spring", ("spring",), float(theirs.opt.timestep), 1)
    ours = scene.compile_scene(scene.robot(name), engine)
    assert (ours.link_names, ours.link_types) == (theirs.link_names, theirs.link_types)
    for part in ("link", "dof", "actuator", "init_q", "geom_pos", "geom_friction", "geom_contype"):
        jax.tree.map(np.testing.assert_allclose, getattr(ours, part), getattr(theirs, part))


def test_tasks_load_from_anywhere_and_leave_nothing_there(tmp_path):
    """trap 17"""
    code = (
        "from crlscale.envs.registry import make_env, task_spec\n"
        "for name in ('cheetah', 'pusher_easy', 'ant_ball', 'humanoid_u_maze'):\n"
        "    print('size', make_env(task_spec(name)).sys.act_size())"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("size")] == [
        f"size {size}" for size in (6, 7, 8, 17)
    ]
    assert not list(tmp_path.iterdir())


# --- episodes --------------------------------------------------------------------------------
@every_task
def test_random_steps_stay_finite(name):
    found = roll(name)
    assert found.rows.state.shape == (200, 4, TABLE[name][0])
    assert found.rows.reached.shape == (200, 4, TABLE[name][1])
    for leaf in jax.tree.leaves((found.rows, found.last.obs)):
        assert np.isfinite(leaf).all()
    assert np.ptp(found.rows.state, axis=0).max(axis=1).min() > 0.1  # it moves


@every_task
def test_the_state_holds_the_achieved_goal_and_not_the_commanded_one(name):
    where = TABLE[name][4]
    found = roll(name)
    unbroken = found.rows.ending[:-1] == episode.RUNNING
    np.testing.assert_array_equal(
        found.rows.state[1:][unbroken][:, where], found.rows.reached[:-1][unbroken]
    )
    state, goals = starts(name)
    if np.ptp(goals):  # start states tell nothing of the goals: no column is a coordinate of them
        for goal in goals.T[np.ptp(goals, axis=0) > 0]:
            assert (np.abs(state - goal[:, None]).max(axis=0) > 1e-3).all()


@every_task
def test_every_episode_has_a_start_and_a_goal_of_its_own(name):
    """trap 1: over envs and over episodes."""
    state, goals = starts(name)
    assert len(state) >= 396
    if task_spec(name).family != "humanoid":  # which starts in one pose
        assert len(np.unique(state, axis=0)) == len(state)
    if task_spec(name).cases is not None:
        assert len(np.unique(goals, axis=0)) == len(task_spec(name).cases)
    elif name != "cheetah":  # which has one goal
        assert len(np.unique(goals, axis=0)) == len(goals)


@every_task
def test_the_key_decides(name):
    run, actions = program(name), noise(name, 200, 4)
    again = run(jax.random.PRNGKey(0), actions, jnp.int32(1000))
    other = run(jax.random.PRNGKey(1), actions, jnp.int32(1000))
    found = roll(name)
    jax.tree.map(np.testing.assert_array_equal, found.rows, again.rows)
    if name in ("cheetah", "reacher", "pusher_easy", "pusher_hard", "ant", "ant_ball"):
        assert (found.rows.state[0] != other.rows.state[0]).any()
    if name != "cheetah":
        assert (found.goals[0] != other.goals[0]).any()


@every_task
def test_success_begins_exactly_at_the_radius(name):
    env = env_of(name)
    spec = env.spec
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), roll(name).last)

    def reward(distance):
        obs = jnp.zeros_like(state.obs).at[spec.state_size].set(distance)
        return float(env.at_goal(state.replace(obs=obs)))

    radius = np.float32(spec.success_radius)
    assert [reward(d) for d in (0.0, radius, np.nextafter(radius, np.float32(99)))] == [1, 1, 0]


@every_task
def test_reward_and_failure_are_what_the_state_says(name):
    last, env = roll(name).last, env_of(name)
    for n in range(4):
        one = jax.tree.map(lambda leaf: jnp.asarray(leaf[n]), last)  # noqa: B023
        assert float(one.reward) == float(env.at_goal(one))
        assert not one.metrics and not one.info


@every_task
def test_broken_physics_is_a_failure_in_the_state_before(name):
    """Actions that are not numbers break any engine."""
    actions = noise(name, 200, 4).at[7, 2].set(jnp.nan)
    found = program(name)(jax.random.PRNGKey(0), actions, jnp.int32(1000))
    whole = roll(name)
    endings = np.asarray(found.rows.ending)
    assert endings[7, 2] == episode.FAILURE
    np.testing.assert_array_equal(found.rows.reached[7, 2], found.rows.state[7, 2, TABLE[name][4]])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.rows._replace(action=0.0)))
    others = np.array([0, 1, 3])
    np.testing.assert_array_equal(endings[:, others], whole.rows.ending[:, others])


@pytest.mark.parametrize("name", ["reacher", pytest.param("ant", marks=pytest.mark.slow)])
def test_one_env_alone_does_what_many_do(name):
    env, whole = env_of(name), roll(name)
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf[3]), whole.first)
    step = quick_jit(env.step)
    for t in range(20):
        np.testing.assert_allclose(state.obs[: env.spec.state_size], whole.rows.state[t, 3], atol=1e-3)
        state = step(state, noise(name, 200, 4)[t, 3])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reacher", "cheetah", "ant", "ant_hardest_maze", "humanoid_u_maze"])
def test_many_random_steps_stay_finite(name):
    found = roll(name, steps=2000, envs=16)
    for leaf in jax.tree.leaves(found.rows):
        assert np.isfinite(leaf).all()


# --- engines ---------------------------------------------------------------------------------
ENGINES = [
    *(("reacher", backend) for backend in ("positional", "generalized", "mjx")),
    ("cheetah", "mjx"),
    *(("ant", backend) for backend in ("generalized", "mjx")),
    ("ant_u_maze", "mjx"),
    *(("humanoid", backend) for backend in ("positional", "mjx")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), ENGINES)
def test_other_engines_run(name, backend):
    """Finite, moving, and on the floor while an episode lasts."""
    options = Options(backend=backend)
    found = roll(name, steps=60, options=options)
    assert env_of(name, options).backend == backend
    for leaf in jax.tree.leaves(found.rows):
        assert np.isfinite(leaf).all()
    assert np.ptp(found.rows.state, axis=0).max(axis=1).min() > 0.1
    if task_spec(name).family in ("ant", "humanoid"):
        assert found.rows.state[..., 2].min() > 0.19
        assert (found.rows.ending == episode.FAILURE).mean() < 0.2
