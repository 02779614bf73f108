"""On which devices a program computes, and how its arrays lie on them.

Z seeds, N envs, B batch. A mesh has two axes: "seed" splits the seeds, which exchange nothing; "data"
splits the envs of every seed, with their rows of the replay, and its batches. XLA's partitioner finds
the rest: parameters are whole on every device of the data axis and their gradients summed over it.
"""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from crlscale.errors import CrlscaleError

SEED, DATA = "seed", "data"


def choose_mesh(
    devices: list, seeds: int, envs: int, batch: int, tell: Callable[[str], None] = print
) -> Mesh | None:
    """A mesh over those of `devices` that can share the work evenly (`shares`), or None for one device.
    Of several devices `tell` is told which share each has."""
    over_seeds, over_data = shares(len(devices), seeds, envs, batch)
    used = over_seeds * over_data
    if len(devices) > 1:
        idle = len(devices) - used
        tell(
            f"computes on {used} of {len(devices)} devices: {seeds} seeds over {over_seeds}, of each seed"
            f" {envs} envs and batches of {batch} over {over_data}"
            + (f"; {idle} idle, since shares must be equal" if idle else "")
        )
    if used == 1 and len({device.process_index for device in devices}) == 1:
        return None
    grid = np.array(_even(devices, used)).reshape(over_seeds, over_data)
    return Mesh(grid, (SEED, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


def shares(devices: int, seeds: int, envs: int, batch: int) -> tuple[int, int]:
    """Devices along the seed axis and along the data axis. Seeds come first: over the largest number of
    devices that divides Z. Each of these then gets as many as divide N and B."""
    over_seeds = _largest(devices, seeds)
    return over_seeds, _largest(devices // over_seeds, envs, batch)


def _even(devices: list, used: int) -> list:
    """So many of `devices`, those of one process side by side, equally many of each: all take part."""
    hosts = sorted({device.process_index for device in devices})
    if used % len(hosts):
        raise CrlscaleError(
            f"{len(hosts)} processes cannot share this evenly: seeds, or envs and batch of a seed, make"
            f" {used} equal parts",
            value=used,
            remedy="a num_envs and batch_size, or --seeds-per-program, that their number divides",
        )
    each = used // len(hosts)
    return [d for host in hosts for d in [d for d in devices if d.process_index == host][:each]]


def _largest(limit: int, *shared: int) -> int:
    """The largest number up to `limit` that divides all of `shared`."""
    return max(n for n in range(1, limit + 1) if all(size % n == 0 for size in shared))


def on_mesh(mesh: Mesh, specs):
    """A tree of PartitionSpecs as shardings."""

    def is_spec(node):
        return isinstance(node, PartitionSpec)

    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=is_spec)


def describe(mesh: Mesh | None) -> dict:
    """What a run records of it: devices, processes (hosts) and the axes."""
    if mesh is None:
        return {"count": 1, "hosts": 1, "mesh": {SEED: 1, DATA: 1}}
    hosts = {device.process_index for device in mesh.devices.flat}
    return {"count": mesh.size, "hosts": len(hosts), "mesh": dict(mesh.shape)}
