"""Impulses of contacts between a robot's links and what does not move, for brax's spring engine.

The rules are those of brax.spring.collisions: an impulse along the normal that stops the approach and
undoes part of the penetration, a drag along the surface up to friction, and on each link the average
over its active contacts. brax finds the contacts itself, so this solver takes any; it works on
vectors as triples of arrays whose last axis is the envs. L links, G bodies, N envs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax.base import System

from crlscale.envs.wall_contacts import Contacts, Vector, dot

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


def links_with(pos, rot, pos_i, vel, ang, i_inv, mass) -> Links:
    """From brax's arrays [L, ..., N]: poses, centres of mass, velocities, inverse inertias, masses."""
    count, envs = mass.shape
    ease = i_inv.reshape(9 * count, envs)[:count]
    return Links(_parts(pos), _rotation(rot), _parts(pos_i), _parts(vel), _parts(ang), ease, mass)


def contributions(bodies: Bodies, contacts: Contacts, links: Links, erosion) -> list[jax.Array]:
    """Impulses of contacts [2, 2, G, N] on the links of their bodies, summed over the contacts: linear
    (3) and angular (3) impulse about the centre of mass and how many are active, [G, N] each.
    `erosion` [N]: how much of a penetration one sub-step undoes, by its length [1/s]."""
    point, normal, gap = contacts
    radius, friction, bounce = (
        jnp.asarray(part[None, None, :, None])
        for part in (bodies.radius, bodies.friction, -(1.0 + bodies.elasticity))
    )
    centre, velocity, spin = (
        tuple(part[None, None] for part in vector)
        for vector in (links.centre, links.velocity, links.spin)
    )
    erosion = erosion.reshape(1, 1, 1, -1)
    inverse_mass, ease = 1.0 / links.mass[None, None], links.ease[None, None]
    depth = radius + 0.5 * gap  # the contact lies halfway between the two surfaces
    arm = tuple(p - n * depth - c for p, n, c in zip(point, normal, centre, strict=True))
    speed = tuple(v + w for v, w in zip(velocity, _cross(spin, arm), strict=True))
    approach = dot(normal, speed)
    lever = _cross(arm, normal)
    impulse = (bounce * approach - erosion * gap) / (inverse_mass + ease * dot(lever, lever))
    slide = tuple(v - approach * n for v, n in zip(speed, normal, strict=True))
    sliding = jnp.sqrt(dot(slide, slide))
    per_slide = 1.0 / (1e-6 + sliding)
    lever = _cross(arm, slide)
    turning = ease * dot(lever, lever) * (per_slide * per_slide)
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


def links_of(links: Links, bodies: Bodies) -> Links:
    """The links [G, N] of the bodies."""
    return jax.tree.map(lambda part: part[bodies.links], links)


def placed(links: Links, local: np.ndarray) -> Vector:
    """Points [G, 3] of links in the world."""
    return tuple(o + t for o, t in zip(links.origin, turned(links, local), strict=True))


def turned(links: Links, local: np.ndarray) -> Vector:
    columns = tuple(jnp.asarray(local[:, k, None]) for k in range(3))
    return tuple(dot(row, columns) for row in links.rotation)


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


def _cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def envs_last(solve):
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
