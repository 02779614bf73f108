"""The ant: where it starts, where goals and the ball lie, what fails it, what pushes the ball."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from jaxprs import quick_jit
from physics_rolls import env_of, roll, starts

from crlscale.envs import ant
from crlscale.envs.registry import task_spec
from crlscale.envs.spec import Options


@lru_cache
def goals(name, options=Options(), count=2000):  # noqa: B008
    env = env_of(name, options)
    keys = jax.random.split(jax.random.PRNGKey(3), count)
    return np.asarray(quick_jit(jax.vmap(env.sample_goal))(keys))


@pytest.mark.parametrize(("name", "radius"), [("ant", 10.0), ("ant_ball", 5.0)])
def test_goals_lie_on_a_circle(name, radius):
    found = goals(name)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), radius, rtol=1e-5)
    assert np.abs(found.mean(axis=0)).max() < 0.1 * radius  # 4 standard errors: 0.063
    quadrants = np.bincount((found[:, 0] > 0) * 2 + (found[:, 1] > 0), minlength=4) / len(found)
    assert np.abs(quadrants - 0.25).max() < 0.05


@pytest.mark.parametrize(("name", "radius"), [("ant", 10.0), ("ant_ball", 5.0)])
def test_the_single_goal_lies_ahead(name, radius):
    found = goals(name, Options(goals="single"), 8)
    np.testing.assert_allclose(found, np.tile([radius, 0.0], (8, 1)), atol=1e-6)


def test_goals_in_a_maze_are_centres_of_cells():
    found, spec = goals("ant_u_pitfall"), task_spec("ant_u_pitfall")
    cells = {(case.row, case.column) for case in spec.cases}
    assert {tuple(goal) for goal in (found / 4.0).tolist()} == cells
    shares = np.unique(found, axis=0, return_counts=True)[1] / len(found)
    assert np.abs(shares - 1 / len(cells)).max() < 0.04


@pytest.mark.parametrize(("name", "origin"), [("ant", (0.0, 0.0)), ("ant_u_pitfall", (4.0, 4.0))])
def test_starts(name, origin):
    state, _ = starts(name)
    model = np.array([*origin, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1], np.float32)
    away = np.abs(state[:, :15] - model)
    turned, rest = away[:, 4:7], np.delete(away, range(3, 7), axis=1)
    assert rest.max() <= 0.1001 and (rest.max(axis=0) > 0.09).all()
    assert turned.max() < 0.115 and (turned.max(axis=0) > 0.07).all()  # a quaternion made unit again
    np.testing.assert_allclose(np.linalg.norm(state[:, 3:7], axis=1), 1.0, atol=1e-5)
    speed = state[:, 15:29]
    assert 0.09 < speed.std() < 0.11 and np.abs(speed.mean(axis=0)).max() < 0.03


def with_torso(env, name, place):
    """The physics of a rollout with the torso's position replaced."""
    physics = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), roll(name).last).pipeline_state
    moved = physics.x.replace(pos=physics.x.pos.at[0].set(jnp.array(place)))
    return bool(env._failed(physics.replace(x=moved)))


@pytest.mark.parametrize(("height", "failed"), [(0.19, 1), (0.21, 0), (0.6, 0), (0.99, 0), (1.01, 1)])
def test_it_fails_outside_the_healthy_heights(height, failed):
    assert with_torso(env_of("ant"), "ant", (0.0, 0.0, height)) == failed


@pytest.mark.parametrize(
    ("place", "failed"),
    [((8, 4), 1), ((6.01, 4), 1), ((5.99, 4), 0), ((8, 9.99), 1), ((8, 10.01), 0), ((12, 4), 0)],
)
def test_it_fails_over_a_pit(place, failed):
    """The u maze has pits in row 2, columns 1 and 2: x from 6 to 10, y from 2 to 10."""
    assert with_torso(env_of("ant_u_pitfall"), "ant_u_pitfall", (*place, 0.5)) == failed


def test_friction_reaches_floor_ant_walls_and_ball():
    for name in ("ant_ball", "ant_u_maze"):
        model = env_of(name, Options(friction=0.3)).sys.mj_model
        assert (model.geom_friction[:, 0] == 0.3).all()
    boxes = env_of("ant_u_maze", Options(friction=0.3, backend="mjx")).sys.mj_model
    assert boxes.ngeom == 18 + task_spec("ant_u_maze").maze.walls.sum()
    assert (boxes.geom_friction[:, 0] == 0.3).all()


# --- the ball --------------------------------------------------------------------------------
@pytest.mark.slow
def test_the_ball_starts_between_the_origin_and_the_goal():
    """trap 12: along the direction of the goal, in x and in y."""
    state, commanded = starts("ant_ball")
    ball = state[:, 29:31]
    away = np.linalg.norm(ball, axis=1)
    assert away.min() >= ant.BALL_FROM - 1e-5 and away.max() <= ant.BALL_TO + 1e-5
    np.testing.assert_allclose(ball / away[:, None], commanded / 5.0, atol=1e-5)


@pytest.mark.slow
def test_the_ball_is_where_the_state_says():
    """trap 12: 29:31, not 28:30."""
    last = roll("ant_ball").last
    np.testing.assert_array_equal(last.obs[:, 29:31], last.pipeline_state.q[:, 15:17])
    np.testing.assert_allclose(last.obs[:, 29:31], last.pipeline_state.x.pos[:, -1, :2], atol=1e-6)
    np.testing.assert_array_equal(last.obs[:, 28], last.pipeline_state.qd[:, 13])


def touching(model, place):
    """Geoms that MuJoCo finds in contact when the ball is at `place` [3]."""
    data = mujoco.MjData(model)
    data.qpos[:15] = [0, 0, 0.75, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1]
    data.qpos[15:] = [*place, 1, 0, 0, 0]
    mujoco.mj_forward(model, data)
    pairs = {tuple(model.geom(g).name for g in pair) for pair in data.contact.geom}
    return {a if b == "ball" else b for a, b in pairs if "ball" in (a, b)}, data


@pytest.mark.parametrize("name", ant.BALL_GEOMS)
def test_every_part_of_the_ant_pushes_the_ball(name):
    model = env_of("ant_ball").sys.mj_model
    _, data = touching(model, (9.0, 9.0, 0.5))
    centre = data.geom(name).xpos
    assert name in touching(model, centre + np.array([0.0, 0.0, 0.52]))[0]


def test_the_ball_lies_on_the_floor_and_the_ant_does_not_touch_itself():
    model = env_of("ant_ball").sys.mj_model
    found, data = touching(model, (9.0, 9.0, 0.499))
    assert found == {"floor"}
    assert len(data.contact.geom) == 1
