"""How a task looks: where episodes start and what goals are commanded, sampled from the env itself,
and a frame of its scene by MuJoCo's renderer.

The physics keeps neither walls nor goals as bodies of its own, so a frame adds them as decoration.
"""

import copy
import os
import sys
from dataclasses import dataclass, replace

import numpy as np

from crlscale import device
from crlscale.envs.spec import TaskSpec
from crlscale.figures.task_map import Grid, TaskMap

STARTS, GOALS = 200, 2000  # samples of a map
# azimuth and elevation [degrees] by the size of a goal: a runner from its side, a walker from high
# above, and an arm from the front, as it stands behind what it reaches for
VIEWS = {1: (90.0, -20.0), 2: (90.0, -60.0), 3: (-120.0, -40.0)}
OTHERS = 150  # goals beside the commanded one that a frame of an open task shows
WIDTH, HEIGHT = 640, 480  # of a frame [pixels]
MARGIN = 1.04  # of the camera's distance, so that nothing touches the edge
WALL_COLOUR = (0.52, 0.53, 0.56, 1.0)
PIT_COLOUR = (0.10, 0.16, 0.28, 1.0)
FLOOR_COLOUR = (0.90, 0.90, 0.88, 1.0)
GOAL_COLOUR = (0.835, 0.369, 0.0, 0.65)  # the commanded goal
OTHER_GOAL_COLOUR = (0.0, 0.447, 0.698, 0.5)
LINK_RADIUS = 0.04  # [m]
LINK_COLOUR = (0.80, 0.80, 0.82, 1.0)


@dataclass(frozen=True)
class Look:
    """A map of a task, and a frame of its scene, uint8 [height, width, 3], or why there is none."""

    map: TaskMap
    frame: np.ndarray | None
    no_frame: str | None


def look_at(spec: TaskSpec) -> Look:
    """Sample starts and goals of the task and render its scene at the first start."""
    choose_renderer()
    device.prepare(1)
    import jax

    from crlscale.envs.registry import make_env

    env = make_env(spec)
    keys = jax.random.split(jax.random.PRNGKey(0), GOALS)
    states = jax.jit(jax.vmap(env.reset))(keys[:STARTS])
    # the first goal is that of the first start, which the frame shows
    goals = jax.jit(jax.vmap(env.sample_goal))(keys)
    goals = np.concatenate([states.obs[:1, spec.state_size :], goals[1:]])
    task_map = survey(env, np.asarray(jax.vmap(env.achieved)(states)), goals)
    if spec.engine is None:
        return Look(task_map, None, "the task is pure JAX and has no scene of bodies")
    positions = np.asarray(states.pipeline_state.q[0], np.float64)
    try:
        return Look(task_map, render_scene(env.sys.mj_model, positions, task_map), None)
    except Unrenderable as refused:
        return Look(task_map, None, str(refused))


def choose_renderer() -> None:
    """Let MuJoCo render without a display on Linux; it reads this when it is first imported."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")


# --- the map -------------------------------------------------------------------------------
def survey(env, starts: np.ndarray, goals: np.ndarray) -> TaskMap:
    """The map of an env from achieved goals at `starts` [n, G] and commanded `goals` [n, G]."""
    spec = env.spec
    unit = "m"
    if spec.engine is None:
        unit = "cells" if spec.maze else "arm lengths"
    found = TaskMap(
        task=spec.name,
        goal=spec.goal,
        unit=unit,
        radius=spec.success_radius,
        starts=_places(starts),
        goals=_places(goals),
    )
    return _with_maze(env, found) if spec.maze else found


def _places(goals: np.ndarray) -> np.ndarray:
    """Goals [n, G] as places in space [n, D]: of two fingertips and their gap, the midpoint."""
    return (goals[:, :3] + goals[:, 3:6]) / 2 if goals.shape[1] == 7 else goals


def _with_maze(env, found: TaskMap) -> TaskMap:
    """The same with the cells of the maze, in metres where bodies walk, else in cells."""
    maze = env.spec.maze
    corner, beside = (np.asarray(env._goal_of(np.array([i, i], np.int32)))[:2] for i in (0, 1))
    scale = float(beside[0] - corner[0])  # of goals, for each cell
    in_cells = env.spec.engine is None
    origin, side = (np.full(2, 0.5), 1.0) if in_cells else (corner, scale)

    def to_unit(places):
        return (places[:, :2] - corner) / scale + 0.5 if in_cells else places[:, :2]

    def centres(cells):
        return origin + side * np.asarray(cells, float).reshape(-1, 2)

    far = {}
    for case in env.spec.cases:
        cell = (case.row, case.column)
        far[cell] = far.get(cell, False) or (case.far and case.start is None)
    grid = Grid(
        cell=side,
        walls=centres(np.argwhere(maze.walls)),
        pits=centres(np.argwhere(maze.holes)),
        starts=centres(maze.starts),
        goals=centres(list(far)),
        far=np.array(list(far.values()), bool),
    )
    return replace(found, starts=to_unit(found.starts), goals=to_unit(found.goals), grid=grid)


# --- the frame -----------------------------------------------------------------------------
class Unrenderable(Exception):
    """No renderer on this machine; the message says why, in one line."""


def render_scene(model, positions: np.ndarray, task: TaskMap) -> np.ndarray:
    """A frame [HEIGHT, WIDTH, 3] of MuJoCo `model` at `positions` [Q], with the walls, pits and goals of
    `task` (lengths in m) as decoration. Raises Unrenderable."""
    import mujoco

    model = _plain_floor(copy.deepcopy(model))
    with_walls = not _has_walls(model)
    data = mujoco.MjData(model)
    data.qpos[:] = positions
    mujoco.mj_forward(model, data)
    renderer = _renderer(model)
    try:
        renderer.update_scene(data, _camera(data, task))
        scene = renderer.scene
        _add_limbs(scene, model, data)
        if task.grid is not None:
            _add_maze(scene, task.grid, task.radius, with_walls)
        _add_goals(scene, task)
        return renderer.render()
    finally:
        renderer.close()


def _renderer(model):
    import mujoco

    try:
        return mujoco.Renderer(model, HEIGHT, WIDTH)
    except (mujoco.FatalError, ImportError, RuntimeError, AttributeError, OSError) as refused:
        why = f"{str(refused).splitlines()[0][:100]}" if str(refused) else type(refused).__name__
        chosen = os.environ.get("MUJOCO_GL") or "unset"
        raise Unrenderable(f"MuJoCo has no renderer here (MUJOCO_GL {chosen}): {why}") from None


def _plain_floor(model):
    """Endless planes in one light colour, softly lit: a chequered floor hides what stands on it."""
    import mujoco

    for index in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        model.geom_matid[index] = -1
        model.geom_rgba[index] = FLOOR_COLOUR
        model.geom_size[index, :2] = 0
    light = model.vis.headlight
    light.ambient[:], light.specular[:] = 0.45, 0.0
    light.diffuse[:] = 0.3 if model.nlight else 0.6
    model.light_diffuse[:], model.light_specular[:] = 0.3, 0.0
    return model


def _camera(data, task: TaskMap):
    """A camera that sees the whole maze as its layout is written, or all starts and goals."""
    import mujoco

    if task.grid is not None:
        low, high = task.grid.ends
        azimuth, elevation, low, high = 180.0, -70.0, [*low, 0.0], [*high, 0.0]
    else:
        places = np.concatenate([_in_space(task.starts), _in_space(task.goals), data.xpos[1:]])
        low, high = places.min(0) - task.radius, places.max(0) + task.radius
        azimuth, elevation = VIEWS[task.goals.shape[1]]
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation = azimuth, elevation
    camera.lookat[:] = (np.asarray(low) + np.asarray(high)) / 2
    camera.distance = _distance(np.asarray(low), np.asarray(high), azimuth, elevation)
    return camera


def _distance(low: np.ndarray, high: np.ndarray, azimuth: float, elevation: float) -> float:
    """How far the camera must be from the middle of the box for all its corners to be in view."""
    a, e = np.radians([azimuth, elevation])
    forward = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    up = np.cross(right, forward)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(-1, 3) - (low + high) / 2
    half = np.tan(np.radians(45.0 / 2))  # MuJoCo's vertical field of view
    needed = np.maximum(np.abs(corners @ up) / half, np.abs(corners @ right) / half * HEIGHT / WIDTH)
    return float(np.max(needed - corners @ forward) * MARGIN)


def _in_space(places: np.ndarray) -> np.ndarray:
    """Places [n, D] with the missing coordinates zero, [n, 3]."""
    return np.pad(places, ((0, 0), (0, 3 - places.shape[1])))


def _add_limbs(scene, model, data) -> None:
    """A capsule along each link that has no geom to be seen by, and up to the first geom after it."""
    import mujoco

    bare = {body for body in range(1, model.nbody) if not model.body_geomnum[body]}
    joins = []
    for body in range(1, model.nbody):
        parent = model.body_parentid[body]
        if body in bare or parent in bare:
            joins.append((data.xpos[parent], data.xpos[body]))
        if parent in bare and body not in bare:
            joins.append((data.xpos[body], data.geom_xpos[model.body_geomadr[body]]))
    capsule = mujoco.mjtGeom.mjGEOM_CAPSULE
    for start, end in joins:
        if np.linalg.norm(end - start) > 1e-3:
            geom = _add(scene, capsule, (0, 0, 0), (0, 0, 0), LINK_COLOUR)
            mujoco.mjv_connector(geom, capsule, LINK_RADIUS, start, end)


def _has_walls(model) -> bool:
    """Whether the walls of the maze are geoms of the model already; then they take the usual colour."""
    import mujoco

    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, i) or "" for i in range(model.ngeom)]
    walls = [index for index, name in enumerate(names) if name.startswith("wall_")]
    model.geom_rgba[walls] = WALL_COLOUR
    return bool(walls)


def _add_maze(scene, grid: Grid, radius: float, with_walls: bool) -> None:
    """Walls, half a cell high as for every robot, pits, and a faint disc of the success radius on each
    goal cell."""
    import mujoco

    half, box, disc = grid.cell / 2, mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    for x, y in grid.walls if with_walls else ():
        _add(scene, box, (x, y, half / 2), (half, half, half / 2), WALL_COLOUR)
    for x, y in grid.pits:
        _add(scene, box, (x, y, 0.0), (half, half, 0.01), PIT_COLOUR)
    for x, y in grid.goals:
        _add(scene, disc, (x, y, 0.0), (radius, 0.01, 0.0), OTHER_GOAL_COLOUR)


def _add_goals(scene, task: TaskMap) -> None:
    """The commanded goal: a ball of the success radius, a disc on the floor where it has no height; in
    an open task also where others lie."""
    import mujoco

    ball, disc = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER
    high = task.goals.shape[1] == 3
    goal, *others = _in_space(task.goals)[: OTHERS + 1]
    for place in others if task.grid is None else ():
        _add(scene, ball, place, (0.15 * task.radius,) * 3, OTHER_GOAL_COLOUR)
    size = (task.radius,) * 3 if high else (task.radius, 0.02, 0.0)
    _add(scene, ball if high else disc, goal, size, GOAL_COLOUR)


def _add(scene, kind, position, size, colour):
    """One more geom of the scene, for the picture alone."""
    import mujoco

    geom = scene.geoms[scene.ngeom]
    place, turned = np.array(position, np.float64), np.eye(3).ravel()
    mujoco.mjv_initGeom(geom, kind, np.array(size, np.float64), place, turned, np.float32(colour))
    scene.ngeom += 1
    return geom
