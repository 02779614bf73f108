"""Checkpoints: whole or not at all, of just the runs that share a program, exact to the bit."""

import json
from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from crlscale import checkpoint
from crlscale.checkpoint import Position
from crlscale.errors import CrlscaleError
from crlscale.instability import NEVER
from crlscale.program import split
from crlscale.settings import make_config
from crlscale.train import make_trainer

IDS = ("run-a", "run-b")


def position(unrolls=7, run_ids=IDS, **more):
    found = {"evaluation": 1, "phases": 2, "train_seconds": 0.1, "epoch_seconds": 1 / 3}
    return Position(run_ids=run_ids, unrolls=unrolls, **{**found, **more})


@pytest.fixture(scope="module")
def carry():
    """TrainState and Tally of two seeds, every array filled with odd bits."""
    config = make_config(
        {
            **{"env": "chain_4", "depth": 8, "width": 8, "batch_size": 4, "num_envs": 3},
            **{"unroll_length": 5, "prefill_steps": 5, "replay_capacity": 15},
            "replay_precision": "bfloat16",
        }
    )
    trainer = make_trainer(split(config)[0], 2)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((2, 2), jnp.uint32))
    tally = jax.eval_shape(trainer.start_tally, state)
    rng = np.random.default_rng(0)

    def fill(shape):
        if shape.dtype == bool:
            return jnp.asarray(rng.integers(0, 2, shape.shape).astype(bool))
        noise = rng.integers(0, 256, (*shape.shape, shape.dtype.itemsize), dtype=np.uint8)
        return jnp.asarray(noise.view(shape.dtype)[..., 0])

    return jax.tree.map(fill, (state, tally))


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def shapes(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def test_what_is_restored_is_what_was_saved(tmp_path, carry):
    """NaN and infinite bit patterns too."""
    checkpoint.save(tmp_path / "checkpoints", position(), *carry)
    assert checkpoint.find(tmp_path / "checkpoints", list(IDS)) == position()
    restored = checkpoint.restore(tmp_path / "checkpoints", position(), *shapes(carry))
    assert jax.tree.structure(restored) == jax.tree.structure(carry)
    assert bits(restored) == bits(carry)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(restored)]
    assert dtypes == [leaf.dtype for leaf in jax.tree.leaves(carry)]


def test_checkpoint_from_before_the_watch_goes_on(tmp_path, carry, monkeypatch):
    """Schema 1 had no watch and no update-to-weight ratios; all else is exact."""
    state, tally = carry
    older = tally._replace(
        sums={k: v for k, v in tally.sums.items() if not k.endswith("_update_ratio")}
    )
    assert len(older.sums) < len(tally.sums)
    fields = state._asdict()
    del fields["watch"], fields["chunk"]  # a chunk of None was never saved
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SCHEMA", 1)
    checkpoint.save(tmp_path, position(), fields, older)
    monkeypatch.undo()
    assert checkpoint.find(tmp_path, list(IDS)) == position()
    found, counted = checkpoint.restore(tmp_path, position(), *shapes(carry))
    assert jax.tree.structure((found, counted)) == jax.tree.structure(carry)
    assert bits(found._replace(watch=None)) == bits(state._replace(watch=None))
    assert bits({name: counted.sums[name] for name in older.sums}) == bits(older.sums)
    assert found.watch.onset.tolist() == [NEVER, NEVER] and not found.watch.updates.any()
    fresh = set(counted.sums) - set(older.sums)
    assert not any(counted.sums[name].any() for name in fresh)


def test_saved_arrays_may_be_donated_at_once(tmp_path):
    """The loop goes on with buffers that the next epoch overwrites."""
    state = {"x": jnp.arange(100_000, dtype=jnp.float32)}
    overwrite = jax.jit(lambda s: {"x": s["x"] * 0.0 - 1.0}, donate_argnums=0)
    checkpoint.save(tmp_path, position(), state, {})
    overwrite(state)
    found, _ = checkpoint.restore(
        tmp_path, position(), {"x": jax.ShapeDtypeStruct((100_000,), jnp.float32)}, {}
    )
    np.testing.assert_array_equal(found["x"], np.arange(100_000, dtype=np.float32))


def test_the_two_newest_are_kept(tmp_path):
    for unrolls in (9, 100, 101):  # not by order of text
        checkpoint.save(tmp_path, position(unrolls), {"x": jnp.float32(unrolls)}, {})
        assert checkpoint.find(tmp_path, list(IDS)) == position(unrolls)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["100", "101"]


def test_same_place_may_be_saved_again(tmp_path):
    for value in (1.0, 2.0):
        checkpoint.save(tmp_path, position(), {"x": jnp.float32(value)}, {})
    found, _ = checkpoint.restore(
        tmp_path, position(), {"x": jax.ShapeDtypeStruct((), jnp.float32)}, {}
    )
    assert found["x"] == 2.0


def test_half_written_checkpoint_does_not_count_and_goes(tmp_path):
    """It has its name once it is whole: a kill before that leaves the older one in force."""
    checkpoint.save(tmp_path, position(7), {"x": jnp.float32(7)}, {})
    (tmp_path / "9.part" / "state").mkdir(parents=True)
    (tmp_path / "9.part" / "position.json").write_text(json.dumps(asdict(position(9))))
    (tmp_path / "8" / "state").mkdir(parents=True)
    assert checkpoint.find(tmp_path, list(IDS)) == position(7)
    checkpoint.save(tmp_path, position(10), {"x": jnp.float32(10)}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "7"]


def test_checkpoint_of_a_newer_crlscale_is_refused(tmp_path):
    checkpoint.save(tmp_path, position(), {"x": jnp.float32(7)}, {})
    path = tmp_path / "7" / "position.json"
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    with pytest.raises(CrlscaleError, match="has schema 3"):
        checkpoint.find(tmp_path, list(IDS))


def test_newest_of_several_is_found(tmp_path):
    for unrolls in (5, 40, 9):
        (tmp_path / str(unrolls)).mkdir()
        data = asdict(position(unrolls))
        (tmp_path / str(unrolls) / "position.json").write_text(json.dumps(data))
    assert checkpoint.find(tmp_path, list(IDS)) == position(40)


@pytest.mark.parametrize("others", [("run-a",), ("run-b", "run-a"), ("run-a", "run-c"), ()])
def test_checkpoint_of_another_program_is_not_taken(tmp_path, others):
    checkpoint.save(tmp_path, position(), {"x": jnp.float32(1)}, {})
    assert checkpoint.find(tmp_path, list(others)) is None


def test_no_folder_no_checkpoint_and_dropping_leaves_none(tmp_path):
    folder = tmp_path / "checkpoints"
    assert checkpoint.find(folder, list(IDS)) is None
    checkpoint.drop(folder)
    checkpoint.save(folder, position(), {"x": jnp.float32(1)}, {})
    checkpoint.drop(folder)
    assert not folder.exists()


def test_nothing_pickled_is_written(tmp_path):
    checkpoint.save(tmp_path, position(), {"x": jnp.arange(10.0)}, {"y": jnp.int32(1)})
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert names and not any(name.endswith((".pkl", ".pickle", ".npy")) for name in names)


def damage(folder, how):
    """Harm the largest file of a checkpoint, as another program or a disk might."""
    path = max(
        (p for p in (folder / "state").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    content = path.read_bytes()
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize("how", ["removed", "cut", "flipped"])
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, carry, how):
    folder, told = tmp_path / "checkpoints", []
    for unrolls in (7, 9):
        checkpoint.save(folder, position(unrolls), *carry)
    damage(folder / "9", how)
    found = checkpoint.find(folder, list(IDS), told.append)
    assert found == position(7)
    assert told == [f"the checkpoint {folder / '9'} is damaged; looking for the one before it"]
    assert bits(checkpoint.restore(folder, found, *shapes(carry))) == bits(carry)
    damage(folder / "7", how)
    with pytest.raises(CrlscaleError, match=r"cannot load the checkpoint .*9 ") as refused:
        checkpoint.find(folder, list(IDS), told.append)
    assert f"rm -r {folder}" in refused.value.remedy
    assert (folder / "9").exists() and (folder / "7").exists()


def test_checkpoint_that_does_not_fit_the_program_says_the_way_out(tmp_path):
    checkpoint.save(tmp_path, position(), {"x": jnp.zeros(3)}, {})
    with pytest.raises(CrlscaleError, match="cannot load the checkpoint") as refused:
        checkpoint.restore(tmp_path, position(), {"y": jax.ShapeDtypeStruct((3,), jnp.float32)}, {})
    assert f"rm -r {tmp_path}" in refused.value.remedy


def test_replay_is_left_out_where_it_is_too_large(tmp_path, carry):
    state, tally = carry
    whole, without = position(7), position(9, replay=False, refill_env_steps=40)
    checkpoint.save(tmp_path, whole, state, tally)
    checkpoint.save(tmp_path, without, state, tally)
    found = checkpoint.find(tmp_path, list(IDS))
    assert found == without
    restored, _ = checkpoint.restore(tmp_path, found, *shapes(carry))
    assert restored.replay is None
    assert bits(restored) == bits(state._replace(replay=None))
    sizes = [
        sum(p.stat().st_size for p in (tmp_path / name).rglob("*") if p.is_file())
        for name in ("7", "9")
    ]
    assert sizes[1] < sizes[0]


def test_bytes_of_a_tree_are_those_of_its_arrays():
    tree = {"a": jnp.zeros((3, 5), jnp.float32), "b": [jnp.zeros(7, jnp.int8), None]}
    assert checkpoint.tree_bytes(tree) == checkpoint.tree_bytes(shapes(tree)) == 67


def test_full_disk_leaves_the_older_checkpoint_in_force(full_disk):
    checkpoint.save(full_disk, position(7), {"x": jnp.float32(7)}, {})
    noise = np.random.default_rng(0).random(200_000).astype(np.float32)
    with pytest.raises(CrlscaleError, match="No space left on device; try: make room"):
        checkpoint.save(full_disk, position(9), {"x": jnp.asarray(noise)}, {})
    assert checkpoint.find(full_disk, list(IDS)) == position(7)
    assert [path.name for path in full_disk.iterdir()] == ["7"]


def test_cut_short_position_of_the_newest_falls_back_to_the_one_before(tmp_path, carry):
    folder = tmp_path / "checkpoints"
    for unrolls in (7, 8):
        checkpoint.save(folder, position(unrolls), *carry)
    (folder / "8" / "position.json").write_text('{"sche')
    told = []
    assert checkpoint.find(folder, list(IDS), told.append) == position(7)
    assert "damaged" in told[0]


def test_a_run_that_goes_on_alone_keeps_what_it_saves(tmp_path, carry):
    """Its checkpoint has a smaller number than those of the program that it was in."""
    folder = tmp_path / "checkpoints"
    for unrolls in (400, 500):
        checkpoint.save(folder, position(unrolls), *carry)
    alone = position(8, run_ids=IDS[:1])
    checkpoint.save(folder, alone, *carry)
    assert checkpoint.find(folder, list(IDS[:1])) == alone
