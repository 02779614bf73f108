"""The point mass in mazes: geometry of walls, dynamics by hand, placement of starts and goals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.base import Env
from hypothesis import given, settings
from hypothesis import strategies as st

from crlscale.envs.mazes import MAZES
from crlscale.envs.point import Physics
from crlscale.envs.registry import make_env, task_spec
from crlscale.envs.spec import Options

HALF = 0.15

every_maze = pytest.mark.parametrize("name", MAZES)


@pytest.fixture(scope="module")
def u():
    return make_env(task_spec("point_u_maze"))


def place(env, x, y, vx=0.0, vy=0.0, goal=(0.0, 0.0)):
    """A state at (x, y) [cells] with velocity (vx, vy) [strides]."""
    physics = Physics(jnp.array([x, y], jnp.float32), jnp.array([vx, vy], jnp.float32))
    return env._state(physics, jnp.array(goal, jnp.float32))


def inside_wall(env, positions):
    """Whether the square body at positions [..., 2] overlaps a wall cell, bool [...]."""
    hit = np.zeros(positions.shape[:-1], bool)
    for dx in (-HALF, HALF):
        for dy in (-HALF, HALF):
            cell = np.floor(positions.astype(np.float64) + np.array([dx, dy])).astype(int)
            hit |= env.spec.maze.walls[cell[..., 0], cell[..., 1]]
    return hit


@pytest.fixture(scope="module")
def walk():
    """walk(name)(starts [N, 2], velocities [N, 2], actions [T, N, 2]) -> positions and speeds [T, N, 2]."""
    compiled = {}

    def of(name):
        if name not in compiled:
            env = make_env(task_spec(name))

            @jax.jit
            def run(starts, velocities, actions):
                goal = jnp.zeros(2)
                states = jax.vmap(lambda p, v: env._state(Physics(p, v), goal))(starts, velocities)

                def step(state, action):
                    state = jax.vmap(env.step)(state, action)
                    return state, state.pipeline_state

                return jax.lax.scan(step, states, actions)[1]

            compiled[name] = run
        return compiled[name]

    return of


# --- interface --------------------------------------------------------------------------
@every_maze
def test_sizes_belong_to_the_env(name):
    """trap 14: building another env changes no size of this one."""
    env = make_env(task_spec(f"point_{name}_maze"))
    make_env(task_spec("point_hardest_maze")), make_env(task_spec("chain_64"))
    state = env.reset(jax.random.PRNGKey(0))
    assert isinstance(env, Env)
    assert (env.observation_size, env.action_size, env.backend) == (6, 2, "jax")
    assert state.obs.shape == (6,) and state.obs.dtype == jnp.float32
    assert env.spec.goal_cells == len(MAZES[name].goals) and env.spec.episode_length == 200
    assert state.metrics == {} and state.info == {}


def test_step_under_jit_and_vmap_equals_step(u):
    keys = jax.random.split(jax.random.PRNGKey(1), 5)
    states = jax.jit(jax.vmap(u.reset))(keys)
    actions = jax.random.uniform(jax.random.PRNGKey(2), (5, 2), minval=-1.0)
    together = jax.jit(jax.vmap(u.step))(states, actions)
    alone = u.step(u.reset(keys[3]), actions[3])
    np.testing.assert_allclose(together.obs[3], alone.obs, rtol=1e-6)
    assert jax.tree.structure(together) == jax.tree.structure(states)


# --- dynamics ---------------------------------------------------------------------------
def test_free_step_by_hand(u):
    """v = 0.8 v + 0.2 a, then x = x + 0.3 v; actions are clipped to 1; the goal stays."""
    state = u.step(place(u, 1.4, 2.5, 0.5, -0.5, goal=(0.3, 0.4)), jnp.array([0.5, 3.0]))
    np.testing.assert_allclose(state.pipeline_state.velocity, [0.5, -0.2], rtol=1e-6)
    np.testing.assert_allclose(state.pipeline_state.position, [1.55, 2.44], rtol=1e-6)
    np.testing.assert_allclose(state.obs[4:], [0.3, 0.4])
    assert state.done == 0


def test_observation_is_centred_and_scaled(u):
    """The u maze has 5 x 5 cells: centre 2.5, half side 2.5."""
    state = place(u, 1.5, 3.5, 0.1, 0.2)
    np.testing.assert_allclose(state.obs, [-0.4, 0.4, 0.1, 0.2, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(u.achieved(state), [-0.4, 0.4], rtol=1e-6)


def test_a_wall_stops_one_axis_and_the_other_slides(u):
    """Against the top wall (x = 1), moving right and up: x stops flush, y goes on."""
    state = u.step(place(u, 1.2, 1.5, -1.0, 0.5), jnp.array([-1.0, 0.5]))
    x, y = state.pipeline_state.position
    assert 1.15 < x < 1.153
    np.testing.assert_allclose(y, 1.65, rtol=1e-6)
    np.testing.assert_allclose(state.pipeline_state.velocity, [0.0, 0.5], rtol=1e-6)
    again = u.step(state, jnp.array([-1.0, 0.5]))
    np.testing.assert_allclose(again.pipeline_state.position, [x, 1.8], atol=1e-6)


def test_four_faces(u):
    """The free cell (1, 1) of the u maze has walls above, left and below; right is free."""
    for action, axis, flush in (((-1, 0), 0, 1 + HALF), ((1, 0), 0, 2 - HALF), ((0, -1), 1, 1 + HALF)):
        state = place(u, 1.5, 1.5)
        for _ in range(20):
            state = u.step(state, jnp.array(action, jnp.float32))
        assert abs(state.pipeline_state.position[axis] - flush) < 2e-3
        assert state.pipeline_state.velocity[axis] == 0
    for _ in range(20):
        state = u.step(state, jnp.array([0.0, 1.0]))
    assert state.pipeline_state.position[1] > 3


@given(data=st.data())
@settings(max_examples=25)
@pytest.mark.parametrize("name", ["u", "u5", "big", "hardest"])
def test_walls_are_never_entered(walk, name, data):
    """From any legal place, at any speed reachable, under held, alternating and random thrust."""
    env = make_env(task_spec(f"point_{name}_maze"))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    envs, steps = 64, 60
    free = np.argwhere(~env.spec.maze.walls)
    starts = free[rng.integers(len(free), size=envs)] + rng.uniform(
        HALF + 1e-3, 1 - HALF - 1e-3, (envs, 2)
    )
    velocities = rng.uniform(-1, 1, (envs, 2))
    held = np.repeat(rng.choice([-1.0, 0.0, 1.0], (1, envs, 2)), steps, axis=0)
    flips = held * np.where(rng.random((steps, envs, 2)) < 0.2, -1, 1)
    noise = rng.uniform(-5, 5, (steps, envs, 2))
    kind = data.draw(st.sampled_from(["held", "flips", "noise"]))
    actions = {"held": held, "flips": flips, "noise": noise}[kind]
    arrays = [jnp.asarray(x, jnp.float32) for x in (starts, velocities, actions)]
    path = jax.tree.map(np.asarray, walk(f"point_{name}_maze")(*arrays))
    assert not inside_wall(env, path.position).any()
    assert (np.abs(path.velocity) <= 1).all()
    moved = np.abs(np.diff(path.position, axis=0))
    assert moved.max() <= 0.3 + 1e-3, "no jump beyond a stride"


def test_the_whole_maze_can_be_walked(walk):
    """Steering along the shortest path from the start reaches the farthest cell of every layout."""
    for name in ("u", "hardest"):
        env = make_env(task_spec(f"point_{name}_maze"))
        distance = env.spec.maze.distances()
        cell = tuple(np.argwhere(distance == distance.max())[0])
        path = [cell]
        while distance[cell]:
            around = [(cell[0] + d, cell[1]) for d in (1, -1)] + [
                (cell[0], cell[1] + d) for d in (1, -1)
            ]
            cell = next(c for c in around if distance[c] == distance[cell] - 1)
            path.append(cell)
        step, position, velocity = jax.jit(env.step), path[-1], np.zeros(2)
        state = place(env, path[-1][0] + 0.5, path[-1][1] + 0.5)
        for target in path[::-1]:
            for _ in range(30):
                position, velocity = map(np.asarray, state.pipeline_state)
                state = step(state, jnp.asarray(4 * (np.array(target) + 0.5 - position) - 2 * velocity))
        assert np.linalg.norm(np.asarray(state.pipeline_state.position) - path[0] - 0.5) < 0.2


# --- starts and goals -------------------------------------------------------------------
def test_starts_and_goals_are_placed_as_the_study_does():
    """Start: R cell +- 0.1, at rest; goal: every free cell but R equally often, at its centre."""
    env = make_env(task_spec("point_u4_maze"))
    states = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.PRNGKey(3), 20_000))
    position, velocity = map(np.asarray, states.pipeline_state)
    offset = position - (env.spec.maze.starts[0] + 0.5)
    assert np.abs(offset).max() <= 0.1 and (velocity == 0).all()
    np.testing.assert_allclose(offset.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(offset.std(0), 0.1 / np.sqrt(3), rtol=0.02)
    assert abs(np.corrcoef(offset.T)[0, 1]) < 0.03

    cells = np.asarray(jax.vmap(env._goal_of)(jnp.asarray(env.spec.maze.goals)))
    centres = (env.spec.maze.goals + 0.5 - np.array([3.5, 2.5])) / 3.5  # 7 x 5 cells
    np.testing.assert_allclose(cells, centres, atol=1e-6)
    goals = np.asarray(states.obs[:, 4:])
    index = np.argmin(np.abs(goals[:, None] - cells[None]).sum(-1), axis=1)
    np.testing.assert_allclose(goals, cells[index])
    counts = np.bincount(index, minlength=len(cells))
    expected = len(goals) / len(cells)
    assert ((counts - expected) ** 2 / expected).sum() < 33, "chi-square, 9 df, p = 1e-4"


def test_success_exactly_at_the_radius(u):
    """0.5 cell, in cells also where the maze is scaled; the reward says the same."""
    goal = jnp.zeros(2)  # the centre of the maze, (2.5, 2.5) in cells
    for offset, inside in ((0.499, True), (0.501, False), (-0.499, True), (-0.501, False)):
        for x, y in ((2.5 + offset, 2.5), (2.5, 2.5 + offset)):
            state = place(u, x, y, goal=goal)
            assert bool(u.at_goal(state)) is inside
            assert float(state.reward) == float(inside)
    assert bool(u.at_goal(place(u, 3.0, 2.5, goal=goal))), "the radius itself counts"
    np.testing.assert_allclose(u.distance(jnp.zeros(2), jnp.array([0.4, 0.0])), 1.0, rtol=1e-6)


def test_the_state_never_holds_the_goal(u):
    one = place(u, 1.5, 1.5, goal=(0.1, 0.2)).obs
    other = place(u, 1.5, 1.5, goal=(0.7, -0.2)).obs
    assert (one[:4] == other[:4]).all() and (one[4:] != other[4:]).all()


# --- variants ---------------------------------------------------------------------------
def test_pits_are_failures_and_the_border_still_stops():
    env = make_env(task_spec("point_u_pitfall"))
    push = jax.jit(env.step)
    state = place(env, 1.5, 1.5)
    for _ in range(40):
        state = push(state, jnp.array([1.0, 0.0]))  # down the rows, over the pit at (2, 1)
        if state.done:
            break
    assert float(state.done) == 1.0
    assert state.pipeline_state.position[0] > 2.0
    state = place(env, 1.5, 1.5)
    for _ in range(40):
        state = push(state, jnp.array([-1.0, 0.0]))  # against the border
    assert float(state.done) == 0.0 and state.pipeline_state.position[0] > 1.0


def test_goal_in_the_state():
    plain = make_env(task_spec("point_u_maze"))
    leaking = make_env(task_spec("point_u_maze", Options(goal_in_state=True)))
    assert leaking.observation_size == plain.observation_size + 2 == 8
    key = jax.random.PRNGKey(4)
    state = leaking.reset(key)
    np.testing.assert_array_equal(state.obs[4:6], state.obs[6:8])
    after = leaking.step(state, jnp.ones(2))
    np.testing.assert_array_equal(after.obs[4:6], state.obs[6:8])
    np.testing.assert_array_equal(
        after.obs[jnp.array([0, 1, 2, 3, 6, 7])], plain.step(plain.reset(key), jnp.ones(2)).obs
    )


def test_single_goal_is_commanded_always():
    env = make_env(task_spec("point_big_maze", Options(goals="single")))
    states = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), 50))
    assert len(np.unique(np.asarray(states.obs[:, 4:]), axis=0)) == 1
    assert len(np.unique(np.asarray(states.obs[:, :2]), axis=0)) == 50
    assert env.spec.goal_cells == 1


def test_stitching_trains_near_pairs_and_evaluates_all():
    """Starts and goals as commanded, by cell: training never asks for more than 3 cells."""
    env = make_env(task_spec("point_u_maze", Options(stitch=3)))
    maze = env.spec.maze
    centre, scale = np.array([2.5, 2.5]), 2.5

    def cells(states):
        start = np.floor(np.asarray(states.pipeline_state.position)).astype(int)
        goal = np.floor(np.asarray(states.obs[:, 4:]) * scale + centre).astype(int)
        return [(tuple(s), tuple(g)) for s, g in zip(start.tolist(), goal.tolist(), strict=True)]

    states = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), 2000))
    seen = set(cells(states))
    assert seen == {(tuple(s), tuple(g)) for s, g in maze.training_pairs(stitch=3).tolist()}
    every = jnp.arange(42, dtype=jnp.int32)
    begun = jax.vmap(env.start_case)(jax.random.split(jax.random.PRNGKey(1), 42), every)
    assert cells(begun) == [(case.start, (case.row, case.column)) for case in env.spec.cases]
