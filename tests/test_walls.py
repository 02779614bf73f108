"""Walls looked up round each limb are the same physics as every wall as a box of the scene.

The reference is brax's own spring step on a scene with all boxes. Both are compared in float64: in
float32 rounding decides which contact opens where two faces are equally deep or a contact is about to
open, and the reference answers differently to shifts of a millionth."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from brax import contact
from brax.base import Transform
from brax.spring import pipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from crlscale.envs.mazes import MAZES
from crlscale.envs.scene import WALL_BIT, add_walls, brax_arrays, compile_scene, meet, robot
from crlscale.envs.spec import Engine
from crlscale.envs.wall_contacts import capsule_contacts, sphere_contacts
from crlscale.envs.walls import MazeWalls

SIDES = {"ant": (4.0, 2.0), "humanoid": (2.0, 1.0)}
ENGINES = {
    "ant": Engine("spring", ("spring",), 0.005, 10),
    "humanoid": Engine("spring", ("spring",), 0.0015, 10),
}
SHIFT = 1e-6  # [m], and of quaternions; float32 resolves 1e-6 m at 16 m
FEET = ("left_foot_geom", "right_foot_geom", "third_foot_geom", "fourth_foot_geom")
TOUCHING = {"ant": ("torso_geom", *(f"aux_{k}_geom" for k in (1, 2, 3, 4)), *FEET)}


def touching(name):
    return TOUCHING.get(name) or tuple(g.name for g in robot(name).geoms if g.name != "floor")


def walls_of(name, maze="u"):
    system = compile_scene(robot(name), ENGINES[name])
    return system, MazeWalls(system, MAZES[maze].walls, *SIDES[name], touching(name))


class Physics:
    """The sub-step with walls looked up and the one with all boxes, for many robots at once."""

    def __init__(self, name, count, maze="u"):
        self.name, self.count, self.maze = name, count, MAZES[maze]
        self.open, self.walls = walls_of(name, maze)
        scene = robot(name)
        meet(scene, touching(name), WALL_BIT)
        add_walls(scene, self.maze.walls, *SIDES[name], 1.0)
        boxes = compile_scene(scene, ENGINES[name])
        with brax_arrays():
            states = jax.ShapeDtypeStruct((count, self.open.q_size()), jnp.float64)
            speeds = jax.ShapeDtypeStruct((count, self.open.qd_size()), jnp.float64)
            init = jax.vmap(lambda q, qd: pipeline.init(self.open, q, qd))
            self.init = jax.jit(init).lower(states, speeds).compile()
            states = jax.eval_shape(init, states, speeds)
            actions = jax.ShapeDtypeStruct((count, self.open.act_size()), jnp.float64)
            ours = jax.vmap(lambda state, action: self.walls.step(self.open, state, action))
            self.ours = jax.jit(ours).lower(states, actions).compile()
            reference = jax.vmap(lambda state, action: pipeline.step(boxes, state, action))
            self.reference = jax.jit(reference).lower(states, actions).compile()

    def thrown(self, seed):
        """Robots in all positions at all heights of the walls, over walls and borders of cells too,
        and actions: fallen, astride corners, driven into walls at metres a second."""
        rng, n = np.random.default_rng(seed), self.count
        cell, height = SIDES[self.name]
        free = np.argwhere(~self.maze.walls)
        q = np.asarray(self.open.init_q) + rng.normal(0.0, 0.3, (n, self.open.q_size()))
        place = free[rng.integers(len(free), size=n)] + rng.uniform(-0.55, 0.55, (n, 2))
        q[:, :2] = place * cell
        q[:, 2] = rng.uniform(0.1, height + 0.3, n)
        turn = rng.normal(size=(n, 4))
        q[:, 3:7] = turn / np.linalg.norm(turn, axis=1, keepdims=True)
        qd = rng.normal(0.0, 1.5, (n, self.open.qd_size()))
        low, high = np.asarray(self.open.actuator.ctrl_range).T
        action = jnp.asarray(rng.uniform(low, high, (n, self.open.act_size())))
        return self.init(jnp.asarray(q), jnp.asarray(qd)), action


def difference(one, other):
    """Largest difference of poses [m] and, relative to 1 + the largest speed, of velocities, [n]."""
    n = len(one.q)
    speed = 1.0 + np.abs(np.concatenate([other.xd.vel, other.xd.ang], 1)).reshape(n, -1).max(1)
    gaps = [(one.x.pos, other.x.pos, 1.0), (one.x.rot, other.x.rot, 1.0)]
    gaps += [(one.xd.vel, other.xd.vel, speed), (one.xd.ang, other.xd.ang, speed)]
    return np.max([np.abs(np.asarray(a - b)).reshape(n, -1).max(1) / by for a, b, by in gaps], axis=0)


@pytest.fixture(scope="module", params=["ant", "humanoid"])
def physics(request):
    with jax.enable_x64(True):
        return Physics(request.param, {"ant": 200, "humanoid": 100}[request.param])


def check_sub_steps(physics, seeds):
    """All within 1e-5, but for one state in 500 of the humanoid: where a limb is nearly parallel to an
    edge, the constants that either routine adds to its denominators show (2e-5 in 3 of 3,000)."""
    errors, touched = [], 0
    with brax_arrays(), jax.enable_x64(True):
        for seed in seeds:
            state, action = physics.thrown(seed)
            answer = physics.reference(state, action)
            errors.append(difference(physics.ours(state, action), answer))
            unwalled = difference(pipeline_step(physics, state, action), answer)
            touched += (unwalled > 1e-4).sum()
    error = np.concatenate(errors)
    print(f"{physics.name}: {len(error)} states, {(error >= 1e-5).sum()} over 1e-5, {error.max():.1e}")
    assert error.dtype == np.float64 and error.max() < 1e-4, np.sort(error)[-9:]
    assert (error < 1e-5).mean() >= {"ant": 1.0, "humanoid": 0.998}[physics.name], np.sort(error)[-9:]
    assert touched > physics.count * len(seeds) / 10, "walls were hardly touched"


def pipeline_step(physics, state, action):
    """The sub-step without walls: far away from the maze."""
    away = jnp.array([1000.0, 0.0, 0.0])
    shifted = state.replace(
        x=state.x.replace(pos=state.x.pos + away), x_i=state.x_i.replace(pos=state.x_i.pos + away)
    )
    answer = physics.ours(shifted, action)
    return answer.replace(x=answer.x.replace(pos=answer.x.pos - away))


def test_a_sub_step_equals_the_one_with_all_boxes(physics):
    check_sub_steps(physics, range(2))


@pytest.mark.slow
def test_a_sub_step_equals_the_one_with_all_boxes_from_thousands_of_states(physics):
    check_sub_steps(physics, range(100, 150 if physics.name == "ant" else 130))


@pytest.mark.slow
def test_rollouts_equal_those_with_all_boxes(physics):
    """20 env steps, in float64: none of 200 ants and 100 humanoids parted when this was written."""
    with brax_arrays(), jax.enable_x64(True):
        state, action = physics.thrown(7)
        ours = reference = state
        for _ in range(20 * ENGINES[physics.name].sub_steps):
            ours, reference = physics.ours(ours, action), physics.reference(reference, action)
        error = difference(ours, reference)
    assert (error < 1e-3).mean() >= 0.99, np.sort(error)[-9:]


# ---- one body against the four boxes at a vertex ----

RADIUS, LENGTH, SIDE, HEIGHT = 0.08, 0.15, 4.0, 2.0


@pytest.fixture(scope="module", params=["sphere", "capsule"])
def touch(request):
    """Functions from poses (positions [n, 3], quaternions [n, 4]) to contacts with the four boxes:
    (gap, contact point, outward normal), each [n, 4, contacts, ...], of ours and of mjx."""
    kind = request.param
    scene = mujoco.MjSpec()
    add_walls(scene, np.ones((2, 2), bool), SIDE, HEIGHT, 1.0)
    body = scene.worldbody.add_body(name="body")
    body.add_freejoint()
    shape = mujoco.mjtGeom.mjGEOM_SPHERE if kind == "sphere" else mujoco.mjtGeom.mjGEOM_CAPSULE
    body.add_geom(name="geom", type=shape, size=[RADIUS, LENGTH, 0], contype=0, conaffinity=0)
    meet(scene, ["geom"], WALL_BIT)
    system = compile_scene(scene, ENGINES["ant"])
    vertex = SIDE / 2

    def reference(pos, rot):
        found = contact.get(
            system, Transform(pos=(pos + np.array([vertex, vertex, 0.0]))[None], rot=rot[None])
        )
        per_box = found.dist.shape[0] // 4
        outward = -found.frame[:, 0]
        at = found.pos - np.array([vertex, vertex, 0.0])
        return tuple(part.reshape(4, per_box, *part.shape[1:]) for part in (found.dist, at, outward))

    def ours(pos, rot):
        up = jnp.where(pos[:, 2] > HEIGHT / 2, 1.0, -1.0)
        level = jnp.where(pos[:, 2] > HEIGHT / 2, HEIGHT, 0.0)
        near = tuple(p[None, None, None] for p in (pos[:, 0], pos[:, 1], pos[:, 2] - level))
        up = up[None, None, None]
        radius, length = jnp.full((1, 1, 1, 1), RADIUS), jnp.full((1, 1, 1, 1), LENGTH)
        if kind == "sphere":
            found = [sphere_contacts(near, up, radius)]
            points = [near]
        else:
            w, x, y, z = rot.T
            axis = (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
            half = tuple(LENGTH * a[None, None, None] for a in axis)
            found = capsule_contacts(near, half, up, radius, length, (SIDE, HEIGHT))
            points = [
                tuple(c + along * h for c, h in zip(near, half, strict=True)) for along, _, _ in found
            ]
        stacked = []
        for point, (_, normal, gap) in zip(points, found, strict=True):
            shape = gap.shape
            at = [p - n * (RADIUS + gap / 2) for p, n in zip(point, normal, strict=True)]
            at = jnp.stack([jnp.broadcast_to(a, shape) for a in at], -1) + jnp.stack(
                [jnp.zeros(shape), jnp.zeros(shape), jnp.broadcast_to(level[None, None, None], shape)],
                -1,
            )
            normal = jnp.stack([jnp.broadcast_to(n, shape) for n in normal], -1)
            stacked.append((gap, at, normal))
        # [2, 2, 1, n, ...] -> [n, 4, contacts, ...]
        parts = (jnp.stack(each) for each in zip(*stacked, strict=True))
        return tuple(
            jnp.moveaxis(p.reshape(len(stacked), 4, len(pos), *p.shape[5:]), (0, 1, 2), (2, 1, 0))
            for p in parts
        )

    return jax.jit(jax.vmap(reference)), jax.jit(ours)


def poses(seed, n=400):
    """Bodies round a vertex: anywhere, just touching a face, edge or corner, deep inside, and with
    axes parallel to an edge or nearly so. No two faces are equally deep: rounding chooses there."""
    rng = np.random.default_rng(seed)
    pos = rng.uniform(-0.3, 0.3, (n, 3))
    pos[:, 2] = np.where(
        rng.random(n) < 0.5, pos[:, 2] + HEIGHT * (rng.random(n) < 0.5), rng.uniform(0.3, 1.7, n)
    )
    grazing = rng.random((n, 3)) < 0.2
    reach = np.where(rng.random((n, 3)) < 0.5, RADIUS, RADIUS + LENGTH)
    pos[:, :2] = np.where(
        grazing[:, :2], np.sign(pos[:, :2]) * reach[:, :2] * (0.999, 0.997), pos[:, :2]
    )
    rot = rng.normal(size=(n, 4))
    rot /= np.linalg.norm(rot, axis=1, keepdims=True)
    aligned = np.array([[1, 0, 0, 0], [0.5**0.5, 0.5**0.5, 0, 0], [0.5**0.5, 0, 0.5**0.5, 0]])
    pick = rng.random(n)
    near = aligned[rng.integers(3, size=n)] + rng.normal(0.0, 0.02, (n, 4)) * (pick[:, None] < 0.2)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    rot = np.where(pick[:, None] < 0.4, near, rot)
    return pos, rot


def apart(one, other):
    """Largest difference of the contacts that either has, [n]; a gap counts where it is negative."""
    gap, at, normal = (np.asarray(part) for part in one)
    gap_, at_, normal_ = (np.asarray(part) for part in other)
    active = np.minimum(gap, gap_) < 0.0
    gaps = np.abs(np.minimum(gap, 0.0) - np.minimum(gap_, 0.0))
    both = active & (np.minimum(np.abs(gap), np.abs(gap_)) > 1e-5)
    far = np.maximum(np.abs(at - at_).max(-1), np.abs(normal - normal_).max(-1)) * both
    return np.maximum(gaps, far).reshape(len(gap), -1).max(1)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_contacts_equal_those_of_the_generic_routine(touch, seed):
    """In float64, where what is left are the constants that either adds to its denominators: in
    float32 the generic routine, which measures from the middle of a 4 m box, is itself off by up to
    5e-4 for capsules nearly parallel to an edge."""
    reference, ours = touch
    pos, rot = poses(seed)
    with brax_arrays(), jax.enable_x64(True):
        answer = reference(pos, rot)
        moved = np.zeros(len(pos))
        rng = np.random.default_rng(seed)
        for _ in range(4):
            shift = rng.uniform(-SHIFT, SHIFT, pos.shape), rng.uniform(-SHIFT, SHIFT, rot.shape)
            moved = np.maximum(moved, apart(reference(pos + shift[0], rot + shift[1]), answer))
        error = apart(ours(pos, rot), answer)
    well_posed = moved < 1e-4
    assert well_posed.mean() > 0.98, well_posed.mean()
    assert (error[well_posed] < 1e-3).all(), (seed, error[well_posed].max())
    assert (error > 1e-4).mean() <= 0.02, (seed, np.sort(error)[-10:])
    assert (np.asarray(answer[0]) < 0.0).any()


# ---- cost and edges of use ----


def solver(name, maze):
    system, walls = walls_of(name, maze)
    with brax_arrays():
        q = jnp.tile(system.init_q, (3, 1))
        state = jax.vmap(lambda q: pipeline.init(system, q, jnp.zeros(system.qd_size())))(q)
    return jax.make_jaxpr(jax.vmap(lambda state: walls.resolve(system, state)))(state), walls


@pytest.mark.parametrize(("name", "slots"), [("ant", 4 + 4 * 13), ("humanoid", 2 + 4 * 29)])
def test_the_work_of_a_sub_step_does_not_depend_on_the_maze(name, slots):
    (small, walls), (large, more_walls) = solver(name, "u"), solver(name, "hardest")
    assert walls.slots == more_walls.slots == slots
    assert len(str(small.jaxpr).split(" = ")) == len(str(large.jaxpr).split(" = "))


def test_every_vertex_knows_its_four_cells():
    from crlscale.envs.walls import _walls_at_vertices

    walls = MAZES["big"].walls
    code = _walls_at_vertices(walls)
    for (r, c), bits in np.ndenumerate(code):
        for bit, (row, column) in enumerate(((r - 1, c - 1), (r - 1, c), (r, c - 1), (r, c))):
            inside = 0 <= row < walls.shape[0] and 0 <= column < walls.shape[1]
            assert (bits >> bit & 1) == (inside and walls[row, column])


def test_a_body_too_large_for_its_nearest_vertex_is_refused():
    system = compile_scene(robot("ant"), ENGINES["ant"])
    with pytest.raises(AssertionError, match="smaller than half a wall"):
        MazeWalls(system, MAZES["u"].walls, 0.4, 2.0, TOUCHING["ant"])
