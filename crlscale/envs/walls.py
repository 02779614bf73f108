"""Maze walls for brax's spring engine at a price that does not depend on the maze.

A scene with every wall as a box tests all of them against all of the robot. Here each body (sphere or
capsule) of the robot looks up the four cells that meet at its nearest grid vertex and meets only those
boxes: see wall_contacts.py for the geometry and for why no other box can be touched. Floor and wall
contacts are then resolved together by the rules of brax.spring.collisions: an impulse a contact,
averaged over the active contacts of a link.

L links, G bodies, N envs. The solver works on arrays with the envs last, which a processor's vector
units need; `MazeWalls.step` is written for one env and rearranges itself under vmap.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax import actuator, com, kinematics
from brax.base import Motion, System
from brax.spring import integrator, joints
from brax.spring.base import State

from crlscale.envs.wall_contacts import Contacts, Vector, capsule_contacts, sphere_contacts

SPHERE, CAPSULE = int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_CAPSULE)


class Bodies(NamedTuple):
    """Bodies of the robot, fixed in their links. `links` [G]; `centre` and `half` [G, 3], where the
    axis runs from centre - half to centre + half; `radius` and `length` (of half) [G]; `friction` and
    `elasticity` [G] of their contacts."""

    links: np.ndarray
    centre: np.ndarray
    half: np.ndarray
    radius: np.ndarray
    length: np.ndarray
    friction: np.ndarray
    elasticity: np.ndarray

    @classmethod
    def of(cls, sys: System, geoms: list[int], friction: float, elasticity: float) -> "Bodies":
        """The `geoms` of `sys` meeting something of the given friction and elasticity."""
        model = sys.mj_model
        axes = np.zeros((len(geoms), 9))
        for row, g in zip(axes, geoms, strict=True):
            mujoco.mju_quat2Mat(row, model.geom_quat[g])
        is_capsule = model.geom_type[geoms] == CAPSULE
        length = np.where(is_capsule, model.geom_size[geoms, 1], 0.0)
        return cls(
            model.geom_bodyid[geoms] - 1,
            model.geom_pos[geoms].astype(np.float32),
            (axes[:, 2::3] * length[:, None]).astype(np.float32),
            model.geom_size[geoms, 0].astype(np.float32),
            length.astype(np.float32),
            np.maximum(model.geom_friction[geoms, 0], friction).astype(np.float32),
            ((np.asarray(sys.elasticity)[geoms] + elasticity) * 0.5).astype(np.float32),
        )


class Links(NamedTuple):
    """State of the links [L, N] or of the links of bodies [G, N]: origin, rotation matrix by rows,
    centre of mass, velocities there, `ease` of turning and mass.

    `ease` is what brax's resolve takes for a link's inverse inertia: element l of the flattened
    inverse inertias for link l (its `take` lacks an axis), a number instead of a matrix."""

    origin: Vector
    rotation: tuple[Vector, Vector, Vector]
    centre: Vector
    velocity: Vector
    spin: Vector
    ease: jax.Array
    mass: jax.Array


class _Place(NamedTuple):
    """Where bodies are [G, N]: `centre` and `half` axis in the world; `near`, the centre relative to
    the nearest vertex and to the nearer `up` level (top +1, bottom -1) of the walls; `walls`, which of
    the four cells there are walls, as bits."""

    centre: Vector
    half: Vector
    near: Vector
    up: jax.Array
    walls: jax.Array


class MazeWalls:
    """The walls of one maze round one robot.

    `sys`: robot and floor without walls. `walls`: boolean [rows, columns]; each true cell is a box of
    `cell` x `cell` x `height` [m] standing on z = 0, and cell (r, c) is centred at (r * cell, c * cell)
    plus `offset`, as the public mazes have it. `touching`: names of the geoms that meet walls.
    `friction`, `elasticity`: of the walls; a contact takes the larger friction and the mean elasticity
    of the two, as everywhere in brax.
    """

    def __init__(
        self,
        sys: System,
        walls: np.ndarray,
        cell: float,
        height: float,
        touching: tuple[str, ...],
        *,
        offset: tuple[float, float] = (0.0, 0.0),
        friction: float = 1.0,
        elasticity: float = 0.0,
    ):
        model = sys.mj_model
        geoms = [model.geom(name).id for name in touching]
        self._sides = (float(cell), float(height))
        self._offset = offset
        self._vertices = _walls_at_vertices(walls)
        kinds = {kind: [g for g in geoms if model.geom_type[g] == kind] for kind in (SPHERE, CAPSULE)}
        assert sum(map(len, kinds.values())) == len(geoms), "walls are met by spheres and capsules only"
        self._spheres = Bodies.of(sys, kinds[SPHERE], friction, elasticity)
        self._capsules = Bodies.of(sys, kinds[CAPSULE], friction, elasticity)
        for bodies in (self._spheres, self._capsules):
            reach = bodies.length + bodies.radius
            assert (reach < min(cell, height) / 2).all(), "a body must be smaller than half a wall"
        self._floor = _bodies_on_floor(sys)
        self._impulses = _envs_last(self._solve)

    @property
    def slots(self) -> int:
        """Possible contacts of a sub-step: all are computed, whatever the maze."""
        capsules, spheres = len(self._capsules.links), len(self._spheres.links)
        return 8 * capsules + 4 * spheres + len(self._floor.links)

    def step(self, sys: System, state: State, act: jax.Array) -> State:
        """One sub-step with actuator inputs `act` [sys.act_size()]: brax's spring step with the walls
        among its contacts."""
        state = state.replace(i_inv=com.inv_inertia(sys, state.x))
        tau = actuator.to_tau(sys, act, state.q, state.qd)
        force = joints.resolve(sys, state, tau)
        pull = Motion(
            ang=jnp.einsum("lij,lj->li", state.i_inv, force.ang),
            vel=force.vel / state.mass[:, None] + sys.gravity[None],
        )
        state = state.replace(xd_i=state.xd_i + pull * sys.opt.timestep)
        x_i, xd_i = integrator.integrate(sys, state.x_i, state.xd_i, self.resolve(sys, state))
        x, xd = com.to_world(sys, x_i, xd_i)
        j, jd, a_p, a_c = kinematics.world_to_joint(sys, x, xd)
        q, qd = kinematics.inverse(sys, j, jd)
        return state.replace(q=q, qd=qd, x=x, xd=xd, x_i=x_i, xd_i=xd_i, j=j, jd=jd, a_p=a_p, a_c=a_c)

    def resolve(self, sys: System, state: State) -> Motion:
        """Change of velocity [L, 3] of each link's centre of mass by its contacts."""
        erosion = jnp.asarray(sys.baumgarte_erp / sys.opt.timestep, jnp.float32)
        x, x_i, xd_i = state.x, state.x_i, state.xd_i
        vel, ang = self._impulses(
            erosion, x.pos, x.rot, x_i.pos, xd_i.vel, xd_i.ang, state.i_inv, state.mass
        )
        return Motion(ang=ang, vel=vel)

    def _solve(self, erosion, pos, rot, pos_i, vel, ang, i_inv, mass):
        """`resolve` on arrays with a last axis of N envs."""
        count, envs = mass.shape
        ease = i_inv.reshape(9 * count, envs)[:count]
        links = Links(
            _parts(pos), _rotation(rot), _parts(pos_i), _parts(vel), _parts(ang), ease, mass
        )
        parts, owners = [], []
        for bodies in (self._spheres, self._capsules, self._floor):
            if not len(bodies.links):
                continue
            around = _of_bodies(links, bodies)
            if bodies is self._floor:
                found = [_contributions(bodies, self._floor_contacts(bodies, around), around, erosion)]
            else:
                found = self._wall_contributions(bodies, around, erosion)
            parts.append(jnp.stack([sum(p[1:], p[0]) for p in zip(*found, strict=True)], axis=1))
            owners.append(bodies.links)
        share = jnp.asarray(np.eye(count, dtype=np.float32)[:, np.concatenate(owners)])
        total = jnp.concatenate(parts, axis=0).reshape(share.shape[1], -1)  # [G, 7 N]
        total = jnp.dot(share, total, precision=jax.lax.Precision.HIGHEST)
        total = jnp.moveaxis(total.reshape(count, 7, -1), 1, 0)
        total = total[:6] / (total[6:] + 1e-8)
        push, turn = total[:3] / mass[None], tuple(total[3:6])
        turn = [_dot(_parts(i_inv[:, row]), turn) for row in range(3)]
        return jnp.moveaxis(push, 0, 1), jnp.stack(turn, axis=1)

    def _wall_contributions(self, bodies: Bodies, links: Links, erosion) -> list[list[jax.Array]]:
        """What the walls do to the bodies: see `_contributions`."""
        place = self._place(bodies, links)
        is_near = (place.walls > 0).any()

        def contacts(place):
            return self._wall_contacts(bodies, place)

        def contributions(links, contacts):
            return [_contributions(bodies, found, links, erosion) for found in contacts]

        links = links._replace(origin=None, rotation=None)
        return _stage(is_near, contributions, links, _stage(is_near, contacts, place))

    def _place(self, bodies: Bodies, links: Links) -> _Place:
        """Where the bodies are: see `_Place`."""
        centre = _placed(links, bodies.centre)
        cell, height = self._sides
        places, near = [], []
        for k, last in zip((0, 1), self._vertices.shape, strict=True):
            # cell r reaches from vertex r to vertex r + 1; beyond the grid the last vertex will do
            place = (centre[k] - self._offset[k]) / cell + 0.5
            vertex = jnp.clip(jnp.round(place), 0.0, last - 1.0)
            places.append(vertex.astype(jnp.int32))
            near.append(centre[k] - ((vertex - 0.5) * cell + self._offset[k]))
        at = places[0] * self._vertices.shape[1] + places[1]
        walls = jnp.asarray(self._vertices.ravel())[at]
        up = jnp.where(centre[2] > height / 2, 1.0, -1.0)
        near.append(centre[2] - (up + 1.0) * (height / 2))
        return _Place(centre, _turned(links, bodies.half), tuple(near), up, walls)

    def _wall_contacts(self, bodies: Bodies, place: "_Place") -> list[Contacts]:
        """Contacts of the bodies with the boxes round their nearest vertex, [2, 2, G, N] each."""
        centre, half, near, up, walls = jax.tree.map(lambda part: part[None, None], place)
        radius, length = (
            jnp.asarray(part[None, None, :, None]) for part in (bodies.radius, bodies.length)
        )
        is_wall = (walls >> np.arange(4, dtype=np.int32).reshape(2, 2, 1, 1)) & 1 == 1
        if not bodies.length.any():
            _, normal, gap = sphere_contacts(near, up, radius)
            return [Contacts(centre, normal, jnp.where(is_wall, gap, 1.0))]
        return [
            Contacts(
                tuple(c + along * h for c, h in zip(centre, half, strict=True)),
                normal,
                jnp.where(is_wall, gap, 1.0),
            )
            for along, normal, gap in capsule_contacts(near, half, up, radius, length, self._sides)
        ]

    @staticmethod
    def _floor_contacts(bodies: Bodies, links: Links) -> Contacts:
        """Contacts of end spheres with the plane z = 0, [1, 1, G, N]."""
        point = tuple(p[None, None] for p in _placed(links, bodies.centre))
        zero, one = jnp.zeros_like(point[2]), jnp.ones_like(point[2])
        gap = point[2] - jnp.asarray(bodies.radius[None, None, :, None])
        return Contacts(point, (zero, zero, one), gap)


def _stage(is_near, function, *operands):
    """`function(*operands)`, or zeros where nothing `is_near` in the whole batch.

    A processor computes what crosses a conditional once; without that boundary XLA fuses each result
    with all that leads to it and computes the narrow phase dozens of times over (four times slower)."""

    def nothing(*operands):
        return jax.tree.map(lambda r: jnp.zeros(r.shape, r.dtype), jax.eval_shape(function, *operands))

    return jax.lax.cond(is_near, function, nothing, *operands)


def _walls_at_vertices(walls: np.ndarray) -> np.ndarray:
    """Which of the four cells at each vertex are walls, int32 [rows + 1, columns + 1]: bit
    2 * (upper x side) + (upper y side). Cells outside the grid are free: a robot gets there only over
    the border, and stands on the floor."""
    padded = np.pad(np.asarray(walls, bool), 1)
    rows, columns = np.array(walls.shape) + 1
    code = np.zeros((rows, columns), np.int32)
    for x in (0, 1):
        for y in (0, 1):
            code |= padded[x : x + rows, y : y + columns].astype(np.int32) << (2 * x + y)
    return code


def _bodies_on_floor(sys: System) -> Bodies:
    """The bodies that meet the floor by the geoms' contype and conaffinity, a capsule as its two end
    spheres (brax treats it so)."""
    model = sys.mj_model
    floors = [g for g in range(model.ngeom) if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_PLANE]
    assert len(floors) == 1 and not model.geom_pos[floors[0]].any(), "one floor, at z = 0"
    floor, on_floor = floors[0], []
    for g in range(model.ngeom):
        meets = model.geom_contype[g] & model.geom_conaffinity[floor]
        meets |= model.geom_contype[floor] & model.geom_conaffinity[g]
        if meets and model.geom_bodyid[g] > 0:
            on_floor.append(g)
    assert set(model.geom_type[on_floor].tolist()) <= {SPHERE, CAPSULE}, (
        "spheres and capsules on the floor only"
    )
    bodies = Bodies.of(
        sys, on_floor, model.geom_friction[floor, 0], float(np.asarray(sys.elasticity)[floor])
    )
    ends = Bodies(*(np.concatenate([part, part[bodies.length > 0]]) for part in bodies))
    sign = np.where(np.arange(len(ends.links)) < len(bodies.links), 1.0, -1.0).astype(np.float32)
    return ends._replace(centre=ends.centre + sign[:, None] * ends.half)


def _contributions(bodies: Bodies, contacts: Contacts, links: Links, erosion) -> list[jax.Array]:
    """Impulses of contacts [2, 2, G, N] on the links of their bodies, summed over the contacts: linear
    (3) and angular (3) impulse about the centre of mass and how many are active, [G, N] each."""
    point, normal, gap = contacts
    radius, friction, bounce = (
        jnp.asarray(part[None, None, :, None])
        for part in (bodies.radius, bodies.friction, -(1.0 + bodies.elasticity))
    )
    centre, velocity, spin = (
        tuple(part[None, None] for part in vector)
        for vector in (links.centre, links.velocity, links.spin)
    )
    inverse_mass, ease = 1.0 / links.mass[None, None], links.ease[None, None]
    depth = radius + 0.5 * gap  # the contact lies halfway between the two surfaces
    arm = tuple(p - n * depth - c for p, n, c in zip(point, normal, centre, strict=True))
    speed = tuple(v + w for v, w in zip(velocity, _cross(spin, arm), strict=True))
    approach = _dot(normal, speed)
    lever = _cross(arm, normal)
    impulse = (bounce * approach - erosion * gap) / (inverse_mass + ease * _dot(lever, lever))
    slide = tuple(v - approach * n for v, n in zip(speed, normal, strict=True))
    sliding = jnp.sqrt(_dot(slide, slide))
    per_slide = 1.0 / (1e-6 + sliding)
    lever = _cross(arm, slide)
    turning = ease * _dot(lever, lever) * (per_slide * per_slide)
    drag = jnp.minimum(sliding / (inverse_mass + turning), friction * impulse)
    active = (gap < 0.0) & (approach < 0.0) & (impulse > 0.0)
    drag = jnp.where(active & (sliding > 1e-3), drag * per_slide, 0.0)
    impulse = jnp.where(active, impulse, 0.0)
    push = tuple(impulse * n - drag * c for n, c in zip(normal, slide, strict=True))
    parts = (*push, *_cross(arm, push), active.astype(jnp.float32))
    return [_total(part) for part in parts]


def _total(part: jax.Array) -> jax.Array:
    """Sum over the boxes. Slices, as a reduction within a fused loop is not vectorised."""
    rows = [part[i, j] for i in range(part.shape[0]) for j in range(part.shape[1])]
    return sum(rows[1:], rows[0])


def _of_bodies(links: Links, bodies: Bodies) -> Links:
    """The links [G, N] of the bodies."""
    return jax.tree.map(lambda part: part[bodies.links], links)


def _placed(links: Links, local: np.ndarray) -> Vector:
    """Points [G, 3] of links in the world."""
    return tuple(o + t for o, t in zip(links.origin, _turned(links, local), strict=True))


def _turned(links: Links, local: np.ndarray) -> Vector:
    columns = tuple(jnp.asarray(local[:, k, None]) for k in range(3))
    return tuple(_dot(row, columns) for row in links.rotation)


def _rotation(quaternion: jax.Array) -> tuple[Vector, Vector, Vector]:
    """Rotation matrices of quaternions [L, 4, N]."""
    w, x, y, z = (quaternion[:, k] for k in range(4))
    scale = 2.0 / (w * w + x * x + y * y + z * z)
    xs, ys, zs = x * scale, y * scale, z * scale
    return (
        (1.0 - (y * ys + z * zs), x * ys - w * zs, x * zs + w * ys),
        (x * ys + w * zs, 1.0 - (x * xs + z * zs), y * zs - w * xs),
        (x * zs - w * ys, y * zs + w * xs, 1.0 - (x * xs + y * ys)),
    )


def _parts(vectors: jax.Array) -> Vector:
    return vectors[:, 0], vectors[:, 1], vectors[:, 2]


def _dot(a: Vector, b: Vector) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _envs_last(solve):
    """`solve`, which wants arrays with a last axis of envs, as a function of one env."""

    @jax.custom_batching.custom_vmap
    def one(*parts):
        return jax.tree.map(lambda r: r[..., 0], solve(*(part[..., None] for part in parts)))

    @one.def_vmap
    def many(envs, batched, *parts):
        moved = (
            jnp.moveaxis(part, 0, -1) if has else jnp.broadcast_to(part[..., None], (*part.shape, envs))
            for part, has in zip(parts, batched, strict=True)
        )
        return jax.tree.map(lambda r: jnp.moveaxis(r, -1, 0), solve(*moved)), (True, True)

    return one
