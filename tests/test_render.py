"""What is drawn of a task comes from the env itself, and the camera sees all of it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from crlscale import render
from crlscale.envs.registry import make_env, task_spec
from crlscale.figures.task_map import Grid, TaskMap


def samples(env, count=64):
    """Achieved goals at fresh starts and commanded goals, [count, G] each."""
    import jax

    keys = jax.random.split(jax.random.PRNGKey(3), count)
    states = jax.vmap(env.reset)(keys)
    goals = jax.vmap(env.sample_goal)(keys)
    return np.asarray(jax.vmap(env.achieved)(states)), np.asarray(goals)


def nearest(places, centres):
    """Distance of each place [n, 2] from the nearest of `centres` [k, 2]."""
    return np.linalg.norm(places[:, None] - centres[None], axis=-1).min(1)


@pytest.mark.parametrize("name", ["point_u4_maze", "point_big_pitfall"])
def test_starts_and_goals_of_a_map_lie_in_their_cells(name):
    env = make_env(task_spec(name))
    found = render.survey(env, *samples(env))
    grid, maze = found.grid, env.spec.maze
    assert (found.unit, grid.cell, found.radius) == ("cells", 1.0, 0.5)
    assert nearest(found.starts, grid.starts).max() < 0.15
    assert nearest(found.goals, grid.goals).max() < 1e-5
    assert grid.walls.tolist() == (np.argwhere(maze.walls) + 0.5).tolist()
    assert len(grid.pits) == maze.holes.sum() and grid.far.sum() == maze.far.sum()


def test_a_map_of_an_open_task_has_no_grid():
    env = make_env(task_spec("chain_3"))
    starts, goals = samples(env)
    found = render.survey(env, starts, goals)
    assert found.grid is None and found.unit == "arm lengths"
    assert found.goals.tolist() == goals.tolist()


def test_the_goal_of_two_fingertips_is_their_midpoint():
    goals = np.array([[1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 0.075]])
    assert render._places(goals).tolist() == [[2.0, 3.0, 4.0]]


@pytest.mark.parametrize(("azimuth", "elevation"), [(180.0, -62.0), (90.0, -38.0), (10.0, -80.0)])
def test_the_camera_sees_every_corner_and_no_more_than_it_must(azimuth, elevation):
    low, high = np.array([-2.0, 1.0, 0.0]), np.array([30.0, 11.0, 2.0])
    distance = render._distance(low, high, azimuth, elevation)
    a, e = np.radians([azimuth, elevation])
    forward = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    eye = (low + high) / 2 - distance * forward
    corners = np.array([[x, y, z] for x in (-2, 30) for y in (1, 11) for z in (0, 2)])
    seen = corners - eye
    half = np.tan(np.radians(22.5)) * (seen @ forward)
    across = np.abs(seen @ right) / (half * render.WIDTH / render.HEIGHT)
    above = np.abs(seen @ np.cross(right, forward)) / half
    assert 0.8 < max(across.max(), above.max()) < 1.0


# --- frames, in processes of their own: MuJoCo chooses its renderer when it is imported ------
SCENE = """
import sys
import numpy as np
from crlscale import render
from test_render import tiny_map
if sys.argv[1] == "chosen":
    render.choose_renderer()
import mujoco
model = mujoco.MjModel.from_xml_string('''<mujoco><worldbody><geom type="plane" size="5 5 1"/>
  <body pos="0 0 .5"><freejoint/><geom type="sphere" size=".5" rgba="0 1 0 1"/></body>
  </worldbody></mujoco>''')
try:
    frame = render.render_scene(model, np.array([4.0, 4, .5, 1, 0, 0, 0]), tiny_map())
except render.Unrenderable as refused:
    print("none:", refused)
else:
    np.save(sys.argv[2], frame)
    print("frame")
"""


def tiny_map() -> TaskMap:
    """A closed maze of 3 x 4 cells of 4 m; the goal is to the right of the start."""
    cells = [(r, c) for r in range(3) for c in range(4) if (r, c) not in ((1, 1), (1, 2))]
    walls, goal = 4.0 * np.array(cells), np.array([[4.0, 8.0]])
    grid = Grid(4.0, walls, np.empty((0, 2)), np.array([[4.0, 4.0]]), goal, np.array([True]))
    return TaskMap("tiny", "x, y [m]", "m", 0.5, np.array([[4.0, 4.0]]), goal, grid)


def in_process(tmp_path, how: str, **environment) -> tuple[str, str]:
    tests = os.path.dirname(__file__)
    clean = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", SCENE, how, str(tmp_path / "frame.npy")],
        env={**clean, "PYTHONPATH": tests, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_frame_shows_the_robot_the_walls_and_the_goal(tmp_path):
    said = in_process(tmp_path, "chosen")
    if said.startswith("none:"):
        pytest.skip(said)
    frame = np.load(tmp_path / "frame.npy").astype(int)
    assert frame.shape == (480, 640, 3)
    red, green, blue = np.moveaxis(frame, -1, 0)
    robot = np.argwhere((green > 1.5 * red) & (green > 1.5 * blue))
    goal = np.argwhere((red > 1.3 * green) & (green > 1.3 * blue))
    assert len(robot) > 50 and len(goal) > 50
    assert robot[:, 1].max() < goal[:, 1].min()  # as in the layout: y grows to the right
    assert abs(robot[:, 0].mean() - goal[:, 0].mean()) < 40


@pytest.mark.skipif(sys.platform != "linux", reason="other systems render without a display server")
def test_without_a_renderer_one_line_says_so(tmp_path):
    said = in_process(tmp_path, "unset", MUJOCO_GL="glfw")
    assert said.startswith("none: MuJoCo has no renderer here (MUJOCO_GL glfw)")
    assert said.count("\n") == 1


def test_an_ant_maze_is_drawn_in_metres(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "crlscale", "envs", "ant_u_maze", "--draw", "--json", "--out", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    frame = tmp_path / "ant_u_maze-scene.png"
    assert frame.exists() == (row["no_frame"] is None)
    assert (tmp_path / "ant_u_maze-map.svg").exists()
