"""What a compiled run really does on several devices, as JSON on stdout; started by test_mesh.py with
XLA_FLAGS=--xla_force_host_platform_device_count=4, since a process has as many devices as it began with.

`python mesh_inspection.py SEEDS SETTINGS`, settings of a RunConfig as JSON."""

import json
import math
import re
import sys

from crlscale import device

SHAPE = re.compile(r"\b(?:pred|[sfu]\d+|bf16)\[([\d,]*)\]")


def inspect(seeds: int, settings: dict) -> dict:
    import jax
    import numpy as np

    from crlscale.program import split
    from crlscale.programs import compile_programs
    from crlscale.settings import make_config

    config = make_config(settings)
    programs, hyper = compile_programs(config, seeds), split(config)[1]
    keys = np.stack([np.asarray(jax.random.PRNGKey(seed)) for seed in range(seeds)])
    begun = programs.init(keys)
    carry = begun, programs.start_tally(begun)
    state, tally = programs.epoch(hyper, *carry, np.int32(config.prefill_unrolls), np.int32(0))
    found = {
        "devices": programs.devices,
        "arrays": {
            "/".join(str(getattr(part, "name", getattr(part, "key", part))) for part in path): layout(
                leaf
            )
            for path, leaf in jax.tree.leaves_with_path({"state": state, "tally": tally})
        },
        "donated": all(leaf.is_deleted() for leaf in jax.tree.leaves(carry)),
        "aliased": programs.epoch.memory_analysis().alias_size_in_bytes,
        "local_bytes": sum(shard_bytes(leaf) for leaf in jax.tree.leaves((state, tally))),
        "parameters": sum(
            leaf.size for leaf in jax.tree.leaves((state.agent.actor, state.agent.critic))
        ),
        "ring_cells": config.replay_rows * config.num_envs,
        "epoch": {kind: elements(programs.epoch, kind) for kind in COLLECTIVES},
        "evaluation_loops": carried(programs.evaluate),
    }
    outcome = programs.evaluate(state, keys)
    return {**found, "outcome": layout(outcome.survival)}


COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def layout(array) -> dict:
    """The whole shape, that of each device's part, and how many different parts there are."""
    shards = array.addressable_shards
    shapes = {shard.data.shape for shard in shards}
    (part,) = shapes
    return {"whole": array.shape, "part": part, "parts": len({str(shard.index) for shard in shards})}


def shard_bytes(array) -> int:
    return array.addressable_shards[0].data.nbytes


def elements(program, kind: str) -> list[int]:
    """Elements of the results of every collective of this kind in the compiled program."""
    lines = re.findall(rf"= (.*?) {kind}(?:-start)?\(", program.as_text())
    return [sum(map(count, SHAPE.findall(line))) for line in lines]


def carried(program) -> list[str]:
    """Shapes of all that the loops of a compiled program carry."""
    loops = re.findall(r"= (.*?) while\(", program.as_text())
    return sorted({shape for loop in loops for shape in SHAPE.findall(loop)})


def count(shape: str) -> int:
    return math.prod(map(int, filter(None, shape.split(","))))


if __name__ == "__main__":
    device.prepare(2)
    print(json.dumps(inspect(int(sys.argv[1]), json.loads(sys.argv[2]))))
