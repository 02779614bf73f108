"""Maze walls for brax's spring engine at a price that does not depend on the maze.

A scene with every wall as a box tests all of them against all of the robot. Here each body (sphere or
capsule) of the robot looks up the four cells that meet at its nearest grid vertex and meets only those
boxes: see wall_contacts.py for the geometry and for why no other box can be touched. Floor and wall
contacts are then resolved together: see contact_impulses.py.

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

from crlscale.envs.contact_impulses import (
    CAPSULE,
    SPHERE,
    Bodies,
    Links,
    contributions,
    envs_last,
    links_of,
    links_with,
    placed,
    turned,
)
from crlscale.envs.wall_contacts import Contacts, Vector, capsule_contacts, dot, sphere_contacts


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
        self._impulses = envs_last(self._solve)

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
        count = mass.shape[0]
        links = links_with(pos, rot, pos_i, vel, ang, i_inv, mass)
        met = [bodies for bodies in (self._spheres, self._capsules) if len(bodies.links)]
        found = self._wall_contributions(met, links, erosion)
        if len(self._floor.links):
            around = links_of(links, self._floor)
            met.append(self._floor)
            found.append(
                contributions(self._floor, _floor_contacts(self._floor, around), around, erosion)
            )
        if not met:
            return jnp.zeros_like(vel), jnp.zeros_like(ang)
        owners = np.concatenate([bodies.links for bodies in met])
        share = jnp.asarray(np.eye(count, dtype=np.float32)[:, owners])
        total = jnp.concatenate([jnp.stack(parts, axis=1) for parts in found], axis=0).reshape(
            share.shape[1], -1
        )  # [G, 7 N]
        total = jnp.dot(share, total, precision=jax.lax.Precision.HIGHEST)
        total = jnp.moveaxis(total.reshape(count, 7, -1), 1, 0)
        total = total[:6] / (total[6:] + 1e-8)
        push, turn = total[:3] / mass[None], tuple(total[3:6])
        turn = [dot(tuple(i_inv[:, row, k] for k in range(3)), turn) for row in range(3)]
        return jnp.moveaxis(push, 0, 1), jnp.stack(turn, axis=1)

    def _wall_contributions(self, met: list[Bodies], links: Links, erosion) -> list[list[jax.Array]]:
        """What the walls do to each group of bodies: see `contributions`."""
        places = [self._place(bodies, links_of(links, bodies)) for bodies in met]
        is_near = sum([place.walls.sum() for place in places], jnp.int32(0)) > 0
        near = [links_of(links, bodies)._replace(origin=None, rotation=None) for bodies in met]

        def touch(places):
            return [
                self._wall_contacts(bodies, place) for bodies, place in zip(met, places, strict=True)
            ]

        def push(near, contacts):
            totals = []
            for bodies, around, groups in zip(met, near, contacts, strict=True):
                each = [contributions(bodies, group, around, erosion) for group in groups]
                totals.append([sum(parts[1:], parts[0]) for parts in zip(*each, strict=True)])
            return totals

        return _stage(is_near, push, near, _stage(is_near, touch, places))

    def _place(self, bodies: Bodies, links: Links) -> _Place:
        """Where the bodies are: see `_Place`."""
        centre = placed(links, bodies.centre)
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
        return _Place(centre, turned(links, bodies.half), tuple(near), up, walls)

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


def _floor_contacts(bodies: Bodies, links: Links) -> Contacts:
    """Contacts of end spheres with the plane z = 0, [1, 1, G, N]."""
    point = tuple(p[None, None] for p in placed(links, bodies.centre))
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
