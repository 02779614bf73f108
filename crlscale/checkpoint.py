"""Checkpoints of a program by orbax: the whole carry, so a resumed run equals an uninterrupted one.

checkpoints/<unrolls>/ under the folder of the program's first run holds one orbax tree and
position.json, which knows every byte of the tree: one that differs from it is damaged. A checkpoint
gets its name once it is whole. The two newest are kept, so that a damaged one costs no more than the
training since the one before.
"""

import contextlib
import errno
import shutil
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import jax
import jax.numpy as jnp

from crlscale import hosts
from crlscale.errors import CrlscaleError
from crlscale.files import Damaged, unwritable
from crlscale.instability import NEVER, RATIO
from crlscale.parquet import refuse_newer
from crlscale.store import read_json, write_json
from crlscale.train import Tally, TrainState

CHECKPOINT_SCHEMA = 2  # 2: what watches for instability, update-to-weight ratios
KEPT = 2
BLOCK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Position:
    """Where the host loop stood: evaluations done, phases done since the last one, seconds of
    training, all for the runs `run_ids` that share the program. `unrolls` of training so far, the
    planned prefill included; `replay`: whether the checkpoint holds it; `refill_env_steps` of all
    prefills after resumes without it."""

    run_ids: tuple[str, ...]
    evaluation: int
    phases: int
    train_seconds: float
    epoch_seconds: float
    unrolls: int
    replay: bool = True
    refill_env_steps: int = 0


def save(folder: Path, position: Position, state: TrainState, tally: Tally) -> None:
    """Save, then drop all but the newest two. A kill at any moment leaves the older ones in force, a
    disk that refuses is a CrlscaleError and does too. Without `position.replay` `state.replay` is
    left out. Several processes (crlscale.hosts) call this together, and each writes its own parts."""
    import orbax.checkpoint.experimental.v1 as ocp

    target = (Path(folder) / str(position.unrolls)).resolve()
    part = target.with_name(f"{position.unrolls}.part")

    def complete():
        data = {"schema_version": CHECKPOINT_SCHEMA, **asdict(position)}
        write_json(part / "position.json", {**data, "files": _digests(part / "state")})
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)

    hosts.on_first(lambda: shutil.rmtree(part, ignore_errors=True))
    try:
        ocp.save(part / "state", _tree(position, state, tally))
        hosts.on_first(complete)
    except Exception as refused:  # orbax and tensorstore raise many kinds
        if hosts.first():
            shutil.rmtree(part, ignore_errors=True)
        raise unwritable(target, _os_error(refused)) from refused
    hosts.on_first(lambda: _prune(target.parent, position.run_ids))


def find(folder: Path, run_ids: list[str], tell: Callable[[str], None] = print) -> Position | None:
    """The newest whole checkpoint of just these runs, or None without any. `tell` is told of damaged
    ones; if there are only damaged ones that is a CrlscaleError."""
    damaged = None
    for unrolls in sorted(_complete(folder), reverse=True):
        path = Path(folder) / str(unrolls)
        try:
            data = read_json(path / "position.json")
        except Damaged:
            damaged = damaged or path
            tell(f"the checkpoint {path} is damaged; looking for the one before it")
            continue
        refuse_newer(path / "position.json", data.get("schema_version", 1), CHECKPOINT_SCHEMA)
        known = {field.name: data[field.name] for field in fields(Position) if field.name in data}
        position = Position(**{**known, "run_ids": tuple(data["run_ids"])})
        if position.run_ids != tuple(run_ids):
            continue
        if "files" not in data or _digests(path / "state") == data["files"]:
            return position
        damaged = damaged or path
        tell(f"the checkpoint {path} is damaged; looking for the one before it")
    if damaged is not None:
        raise _cannot_load(damaged, "damaged")
    return None


def restore(folder: Path, position: Position, state, tally) -> tuple[TrainState, Tally]:
    """Load the checkpoint at `position`; `state` and `tally` give shapes (jax.ShapeDtypeStruct) and where
    arrays are to lie, whatever lay where when it was saved. The replay is None if it was not saved."""
    import orbax.checkpoint.experimental.v1 as ocp

    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    path = (Path(folder) / str(position.unrolls) / "state").resolve()
    unwatched = read_json(path.parent / "position.json").get("schema_version", 1) < 2
    tree = _tree(position, state, tally)
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or device),
        _before_watch(tree) if unwatched else tree,
    )
    try:
        loaded = ocp.load(path, shapes)
    except Exception as refused:  # orbax and tensorstore raise many kinds
        raise _cannot_load(path.parent, type(refused).__name__) from refused
    if unwatched:
        loaded = _with_watch(loaded, tree, device)
    found = loaded["state"]
    whole = TrainState(**found) if _without_chunk(state) else found
    return whole, loaded["tally"]


def drop(folder: Path) -> None:
    """Remove the checkpoints of a finished program; a kill on the way leaves none that looks damaged."""
    for unrolls in _complete(folder):
        with contextlib.suppress(OSError):
            (Path(folder) / str(unrolls) / "position.json").unlink()
    shutil.rmtree(folder, ignore_errors=True)


def tree_bytes(tree) -> int:
    """Bytes of all arrays (or shapes) of `tree`."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _tree(position: Position, state, tally) -> dict:
    """What lies on the disk; a field that came later is there only where it holds something, so that
    older checkpoints can be gone on from."""
    kept = state if position.replay else state._replace(replay=None)
    if _without_chunk(kept):
        kept = kept._asdict()
        del kept["chunk"]
    return {"state": kept, "tally": tally}


def _before_watch(tree: dict) -> dict:
    """The part of `_tree` that checkpoints of schema 1 have."""
    state, tally = tree["state"], tree["tally"]
    if isinstance(state, dict) and "watch" in state:
        state = {name: value for name, value in state.items() if name != "watch"}
    if isinstance(tally, Tally):
        tally = tally._replace(sums={k: v for k, v in tally.sums.items() if not k.endswith(RATIO)})
    return {"state": state, "tally": tally}


def _with_watch(loaded: dict, tree: dict, device) -> dict:
    """A checkpoint of schema 1 with what it lacks: a watch that counts from here and takes no loss or
    gradient for a jump, since it has not seen the earlier ones, and ratios of 0 so far."""

    def filled(shape, value):
        return jax.device_put(jnp.full(shape.shape, value, shape.dtype), shape.sharding or device)

    state, tally = loaded["state"], loaded["tally"]
    if isinstance(state, dict) and "watch" in tree["state"]:
        watch = jax.tree.map(lambda shape: filled(shape, 0), tree["state"]["watch"])
        largest, onset = filled(watch.largest, jnp.inf), filled(watch.onset, NEVER)
        state = {**state, "watch": watch._replace(largest=largest, onset=onset)}
    if isinstance(tally, Tally):
        sums = {
            k: tally.sums[k] if k in tally.sums else filled(v, 0) for k, v in tree["tally"].sums.items()
        }
        tally = tally._replace(sums=sums)
    return {"state": state, "tally": tally}


def _without_chunk(state) -> bool:
    return isinstance(state, TrainState) and state.chunk is None


def _complete(folder: Path) -> list[int]:
    """Unrolls of the checkpoints that were written to their end."""
    paths = Path(folder).glob("*/position.json")
    return [int(path.parent.name) for path in paths if path.parent.name.isdecimal()]


def _prune(folder: Path, run_ids: tuple[str, ...]) -> None:
    """Keep the newest two of just these runs; those of another set of runs cannot be gone on from."""
    mine = [n for n in sorted(_complete(folder)) if _of(folder / str(n)) == run_ids]
    kept = {str(unrolls) for unrolls in mine[-KEPT:]}
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _of(path: Path) -> tuple[str, ...]:
    with contextlib.suppress(CrlscaleError):
        return tuple(read_json(path / "position.json").get("run_ids", ()))
    return ()


def _digests(folder: Path) -> dict[str, list[int]]:
    """Path below `folder` -> size and CRC-32 of every file."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = _digest(path)
    return found


def _digest(path: Path) -> list[int]:
    size = crc = 0
    with contextlib.suppress(OSError), open(path, "rb") as file:
        while block := file.read(BLOCK):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return [size, crc]


def _os_error(refused: Exception) -> OSError:
    """What the system said, where orbax hands it on, or only as words."""
    cause: BaseException | None = refused
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        cause = cause.__cause__ or cause.__context__
    words = " ".join(str(refused).split())[:300]
    full = "No space left" in words or "RESOURCE_EXHAUSTED" in words
    return OSError(errno.ENOSPC, "No space left on device") if full else OSError(words)


def _cannot_load(path: Path, why: str) -> CrlscaleError:
    return CrlscaleError(
        f"cannot load the checkpoint {path} ({why})",
        value=str(path),
        remedy=f"rm -r {path.parent}, and the run starts again",
    )
