"""Checkpoints of a program by orbax: the whole carry, so a resumed run equals an uninterrupted one.

checkpoints/<unrolls>/ under the folder of the program's first run holds one orbax tree and
position.json, which is written last: a checkpoint without it does not count.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import jax

from crlscale.errors import CrlscaleError
from crlscale.store import read_json, write_json
from crlscale.train import Tally, TrainState


@dataclass(frozen=True)
class Position:
    """Where the host loop stood: evaluations done, phases done since the last one, seconds of
    training, all for the runs `run_ids` that share the program."""

    run_ids: tuple[str, ...]
    evaluation: int
    phases: int
    train_seconds: float
    epoch_seconds: float
    unrolls: int


def save(folder: Path, position: Position, state: TrainState, tally: Tally) -> None:
    """Save, then drop older checkpoints. A kill at any moment leaves the older one in force."""
    import orbax.checkpoint.experimental.v1 as ocp

    target = (Path(folder) / str(position.unrolls)).resolve()
    shutil.rmtree(target, ignore_errors=True)
    ocp.save(target / "state", {"state": state, "tally": tally})
    write_json(target / "position.json", asdict(position))
    for older in folder.iterdir():
        if older.name != target.name:
            shutil.rmtree(older, ignore_errors=True)


def find(folder: Path, run_ids: list[str]) -> Position | None:
    """The newest complete checkpoint of just these runs, or None."""
    found = []
    for path in Path(folder).glob("*/position.json"):
        data = read_json(path)
        position = Position(**{**data, "run_ids": tuple(data["run_ids"])})
        if position.run_ids == tuple(run_ids):
            found.append(position)
    return max(found, key=lambda position: position.unrolls, default=None)


def restore(folder: Path, position: Position, state, tally) -> tuple[TrainState, Tally]:
    """Load the checkpoint at `position`; `state` and `tally` give shapes (jax.ShapeDtypeStruct)."""
    import orbax.checkpoint.experimental.v1 as ocp

    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        {"state": state, "tally": tally},
    )
    path = (Path(folder) / str(position.unrolls) / "state").resolve()
    try:
        loaded = ocp.load(path, shapes)
    except Exception as damaged:  # orbax and tensorstore raise many kinds
        raise CrlscaleError(
            f"cannot load the checkpoint {path} ({type(damaged).__name__})",
            value=str(path),
            remedy=f"rm -r {folder}, and the run starts again",
        ) from damaged
    return loaded["state"], loaded["tally"]


def drop(folder: Path) -> None:
    """Remove the checkpoints of a finished program."""
    shutil.rmtree(folder, ignore_errors=True)
