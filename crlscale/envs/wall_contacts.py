"""Contacts of spheres and capsules with axis-aligned wall boxes, in closed form.

The boxes of a grid meet four by four at its vertices, and a body smaller than half a cell touches at
most the four round its nearest vertex. All lengths below are relative to that vertex: x and y from
it, z from the level (top or bottom of the walls) nearest to the body's centre.

The rules are those of mjx's generic convex routine, restated for boxes, so that a scene with every
wall as a MuJoCo box gives the same contacts: `sphere_convex` and `capsule_convex` in mujoco.mjx,
`collision_convex.py` (which point, normal and depth; how many contacts; when an edge wins over a
face), and its constants. Only the nearest features of a box are looked at. That loses nothing while
half the length of a capsule plus its radius is below half of every side of a box.

Vectors are triples of arrays: G bodies, N envs, `[2, 2, G, N]` for the boxes on the lower or upper x
side (axis 0) and y side (axis 1) of the vertex. An outward normal points from the box to the body.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Vector = tuple[jax.Array, jax.Array, jax.Array]

OUT_X = np.array([1.0, -1.0], np.float32).reshape(2, 1, 1, 1)  # outward sign of the face at the vertex
OUT_Y = OUT_X.reshape(1, 2, 1, 1)
TOUCHING = 1e-6  # [m]: closer than this to a surface, a sphere's centre counts as on it
DEGENERATE = 1e-6  # [m^2]: squared distance to an edge below which it has no direction
PARALLEL = 0.99  # cosine between edge contact and face normal above which the face wins
SINGULAR = 1e-6  # added to determinants and squared lengths


class Contacts(NamedTuple):
    """Possible contacts: `point` on the body's axis (its centre if a sphere), outward `normal`, and
    `gap` [m] between surfaces; no contact where the gap is not negative."""

    point: Vector
    normal: Vector
    gap: jax.Array


def sphere_contacts(centre: Vector, up: jax.Array, radius: jax.Array) -> Contacts:
    """Spheres [1, 1, G, N] against the four boxes: [2, 2, G, N]. `up` is +1 where the level is the
    top of the walls and -1 where it is the bottom; `radius` [1, 1, G, 1]."""
    out = (jnp.asarray(OUT_X), jnp.asarray(OUT_Y), up)
    beyond = tuple(s * c for s, c in zip(out, centre, strict=True))
    farthest = jnp.maximum(jnp.maximum(beyond[0], beyond[1]), beyond[2])
    outside = tuple(jnp.maximum(b, 0.0) for b in beyond)
    distance = jnp.sqrt(dot(outside, outside))
    inside = distance < TOUCHING  # then the nearest face decides
    distance = jnp.where(inside, farthest, distance)
    scale = 1.0 / jnp.where(inside, 1.0, distance)
    faces = _one_hot(beyond)
    normal = tuple(
        s * jnp.where(inside, face, o * scale) for s, face, o in zip(out, faces, outside, strict=True)
    )
    return Contacts(centre, normal, distance - radius)


def capsule_contacts(
    centre: Vector, half: Vector, up: jax.Array, radius: jax.Array, length: jax.Array, sides: tuple
) -> list[tuple[jax.Array, Vector, jax.Array]]:
    """Capsules against the four boxes, two contacts each: lists `along`, normal and gap of both,
    [2, 2, G, N]; the contact's point is centre + along * half.

    centre, half: [1, 1, G, N], the axis running from centre - half to centre + half. radius, length
    (half the axis): [1, 1, G, 1]. sides: cell and height [m] of the walls."""
    out = (jnp.asarray(OUT_X), jnp.asarray(OUT_Y), up)
    beyond = tuple(s * c for s, c in zip(out, centre, strict=True))
    along_out = tuple(s * h for s, h in zip(out, half, strict=True))
    depths = tuple(b - jnp.abs(a) for b, a in zip(beyond, along_out, strict=True))
    face = _one_hot(depths)
    overlap = jnp.maximum(jnp.maximum(depths[0], depths[1]), depths[2]) < radius

    first, last, within = _clip_to_face(beyond, along_out, face, 1e-6 / sides[0])
    valid = overlap & within
    base, slope = dot(face, beyond), dot(face, along_out)
    gap_first = jnp.where(valid, base + first * slope - radius, 1.0)
    gap_last = jnp.where(valid, base + last * slope - radius, 1.0)

    along, offset, squared = _nearest_edge(centre, half, out, up, length, sides)
    distance = jnp.sqrt(squared)
    scale = 1.0 / jnp.where(distance > 0.0, distance, 1.0)
    edge_normal = tuple(o * scale for o in offset)
    edge_gap = distance - radius
    shallowest = jnp.maximum(gap_first, gap_last)
    parallel = jnp.abs(dot(edge_normal, tuple(f * s for f, s in zip(face, out, strict=True))))
    by_edge = (
        (edge_gap < 0.0)
        & (squared >= DEGENERATE)
        & ((shallowest >= 0.0) | (edge_gap > shallowest))
        & (parallel <= PARALLEL)
    )
    flat = tuple(f * s for f, s in zip(face, out, strict=True))
    normal = tuple(jnp.where(by_edge, e, f) for e, f in zip(edge_normal, flat, strict=True))
    return [
        (jnp.where(by_edge, along, first), normal, jnp.where(by_edge, edge_gap, gap_first)),
        (last, flat, jnp.where(by_edge, 1.0, gap_last)),
    ]


def _clip_to_face(beyond: Vector, along_out: Vector, face: Vector, skin: float):
    """The part of each capsule's axis over the chosen face: its ends in [-1, 1], and whether any of
    it is. Over the face = behind the planes of the other two faces."""
    first = jnp.full_like(beyond[2] + beyond[1] + beyond[0], -1.0)
    last = -first
    within = jnp.ones_like(first, bool)
    for b, a, own in zip(beyond, along_out, face, strict=True):
        start_out = (b - a > skin) & (own == 0.0)
        end_out = (b + a > skin) & (own == 0.0)
        crossing = jnp.clip(-b / jnp.where(a == 0.0, 1e-6, a), -1.0, 1.0)
        first = jnp.where(start_out, jnp.maximum(first, crossing), first)
        last = jnp.where(end_out, jnp.minimum(last, crossing), last)
        within &= ~(start_out & end_out)
    return first, last, within & (last >= first)


def _nearest_edge(centre, half, out, up, length, sides):
    """Of the three edges at the nearest corner of each box the one nearest to the axis: where on the
    axis, the way from the edge to there, and its squared length (infinite unless that way leads out of
    both faces of the edge)."""
    cell, height = sides
    x, y, z = centre
    direction = tuple(h / length for h in half)
    middles = (-out[0] * (cell / 2), -out[1] * (cell / 2), -up * (height / 2))
    spans = (cell / 2, cell / 2, height / 2)
    best = None
    for axis in (2, 0, 1):
        along, offset, squared = _edge_to_axis(
            axis, (x, y, z), direction, length, middles[axis], spans[axis]
        )
        leads_out = jnp.ones((), bool)
        for k in range(3):
            if k != axis:
                leads_out = leads_out & (out[k] * offset[k] > 0.0)
        found = (along, *offset, squared, leads_out)
        if best is None:
            best = found
        else:
            nearer = squared < best[4]
            best = tuple(jnp.where(nearer, new, old) for new, old in zip(found, best, strict=True))
    along, ox, oy, oz, squared, leads_out = best
    return along, (ox, oy, oz), jnp.where(leads_out, squared, jnp.inf)


def _edge_to_axis(axis, centre, direction, length, middle, span):
    """Closest points of an edge (through the vertex, along `axis`, `middle` +- `span`) and a capsule's
    axis, as mjx's closest_segment_to_segment_points finds them: where on the axis in [-1, 1], the way
    from the edge to there, and its squared length."""
    lead = centre[axis] - middle
    cosine = direction[axis]
    towards = -dot(direction, tuple(lead if k == axis else centre[k] for k in range(3)))
    on_edge = (lead + cosine * towards) / (1.0 - cosine * cosine + SINGULAR)
    on_axis = jnp.clip(towards + on_edge * cosine, -length, length)
    on_edge = jnp.clip(on_edge, -span, span)
    # Two answers, each clipped point with the closest one to it; the nearer pair counts.
    at = tuple(c + d * on_axis for c, d in zip(centre, direction, strict=True))
    share = 2.0 * span / (4.0 * span * span + SINGULAR)
    edge_a = 2.0 * span * jnp.clip((at[axis] - middle + span) * share, 0.0, 1.0) - span
    way_a = tuple(at[k] - middle - edge_a if k == axis else at[k] for k in range(3))
    reach = towards + on_edge * cosine + length
    share = 2.0 * length / (4.0 * length * length + SINGULAR)
    along_b = 2.0 * jnp.clip(reach * share, 0.0, 1.0) - 1.0
    to = tuple(c + d * (along_b * length) for c, d in zip(centre, direction, strict=True))
    way_b = tuple(to[k] - middle - on_edge if k == axis else to[k] for k in range(3))
    squared_a, squared_b = dot(way_a, way_a), dot(way_b, way_b)
    first = squared_a < squared_b
    along = jnp.where(first, on_axis / length, along_b)
    way = tuple(jnp.where(first, a, b) for a, b in zip(way_a, way_b, strict=True))
    return along, way, jnp.where(first, squared_a, squared_b)


def _one_hot(values: Vector) -> Vector:
    """1.0 at the largest of the three, 0.0 at the others; the first of equals."""
    x, y, z = values
    is_x = (x >= y) & (x >= z)
    is_y = ~is_x & (y >= z)
    return tuple(jnp.asarray(k, jnp.float32) for k in (is_x, is_y, ~(is_x | is_y)))


def dot(a: Vector, b: Vector) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
