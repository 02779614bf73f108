"""A function of one seed as one of Z seeds: a leading axis, split over the devices of a mesh.

Axes say which arguments and results have the axis: 0 they do, None they do not. They are a value, a
tuple of values, or a NamedTuple of them for the fields of one.
"""

from collections.abc import Callable

import jax
from jax.sharding import Mesh, PartitionSpec

from crlscale.mesh import SEED


def over_seeds(function: Callable, seeds: int, in_axes, out_axes, mesh: Mesh | None = None) -> Callable:
    """`function` over Z = `seeds`, which the seed axis of `mesh` must divide.

    Each device of that axis has a program of its own seeds, without a word to the others: one seed on a
    device is the program of one seed alone. The data axis is left to XLA."""
    here = seeds if mesh is None else seeds // mesh.shape[SEED]
    mapped = (jax.vmap if here > 1 else _one_seed)(function, in_axes=in_axes, out_axes=out_axes)
    if mesh is None:
        return mapped
    return jax.shard_map(
        mapped,
        mesh=mesh,
        in_specs=_specs(in_axes),
        out_specs=_specs(out_axes),
        axis_names={SEED},
        check_vma=False,  # what has no such axis (counts) is equal in all seeds by how it is made
    )


def _specs(axes):
    def spec(axis):
        return PartitionSpec() if axis is None else PartitionSpec(SEED)

    return jax.tree.map(spec, axes, is_leaf=lambda axis: axis is None)


def _one_seed(function, in_axes, out_axes):
    """What jax.vmap does over an axis of length 1, without the batched matmuls, which take 1.7
    times as long on a CPU (docs/performance.md)."""

    def drop(axes, tree):
        return tree if axes is None else jax.tree.map(lambda x: x[0], tree)

    def add(axes, tree):
        return tree if axes is None else jax.tree.map(lambda x: x[None], tree)

    def over(change, axes, value):
        if not _named(axes):
            return change(axes, value)
        return type(axes)(*[change(a, v) for a, v in zip(axes, value, strict=True)])

    def wrapped(*arguments):
        results = function(*[over(drop, a, v) for a, v in zip(in_axes, arguments, strict=True)])
        if not isinstance(out_axes, tuple) or _named(out_axes):
            return over(add, out_axes, results)
        return tuple(over(add, a, v) for a, v in zip(out_axes, results, strict=True))

    return wrapped


def _named(axes) -> bool:
    return hasattr(axes, "_fields")
