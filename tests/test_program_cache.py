"""Programs kept for the next process: found again, the same to the bit, and never taken for others."""

import contextlib
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from crlscale import program_cache, programs
from crlscale.program_cache import kept_or_made
from crlscale.settings import make_config

TINY = {
    **{"env": "chain_2", "depth": 2, "width": 4, "batch_size": 4, "num_envs": 2, "unroll_length": 4},
    **{"replay_capacity": 8, "prefill_steps": 8, "eval_episodes": 2, "representation_size": 4},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CRLSCALE_CACHE", str(tmp_path))
    return tmp_path / "programs"


def doubled():
    """Stands for the programs of a run: one that doubles a number."""
    return {"double": (jax.jit(lambda x: 2 * x).lower(jnp.float32(0)), None)}


def halved():
    return {**doubled(), "halve": (jax.jit(lambda x: x / 2).lower(jnp.float32(0)), None)}


def index(folder):
    """The newest file of `folder` that names the programs of a run."""
    return max((path for path in folder.iterdir() if path.stat().st_size < 300), key=os.path.getmtime)


@contextlib.contextmanager
def configured(name, value):
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def never():
    pytest.fail("made again")


def test_what_is_kept_is_not_made_again(folder):
    kept_or_made("twice", doubled)
    found = kept_or_made("twice", never)
    assert float(found["double"](jnp.float32(21))) == 42 and len(list(folder.iterdir())) == 2


def test_what_two_shapes_share_is_compiled_once(folder, monkeypatch):
    kept_or_made("twice", doubled)
    compiled = []
    compile_ = program_cache._compiled
    monkeypatch.setattr(program_cache, "_compiled", lambda *a: compiled.append(a) or compile_(*a))
    kept_or_made("twice and half", halved)
    assert len(compiled) == 1 and len(list(folder.iterdir())) == 4
    found = kept_or_made("twice and half", never)
    assert [float(found[name](jnp.float32(4))) for name in ("double", "halve")] == [8, 2]


def test_programs_that_differ_in_what_they_do_not_use_are_two(folder):
    def traced(unused):
        return lambda: {"first": (jax.jit(lambda x, y: x + 1).lower(jnp.float32(0), unused), None)}

    kept_or_made("float", traced(jnp.float32(0)))
    assert int(kept_or_made("int", traced(jnp.int32(0)))["first"](jnp.float32(1), jnp.int32(0))) == 2


def test_nothing_comes_from_the_cache_of_xla(folder, tmp_path):
    """Programs that it returns cannot be kept: some of their functions would be missing."""
    hits = []
    jax.monitoring.register_event_listener(
        lambda event, **_: hits.append(event) if "hit" in event else 0
    )
    settings = {
        "jax_compilation_cache_dir": str(tmp_path / "xla"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    with contextlib.ExitStack() as stack:
        for name, value in settings.items():
            stack.enter_context(configured(name, value))
        compilation_cache.reset_cache()
        for _ in range(2):
            doubled()["double"][0].compile()
        assert len(hits) == 1
        kept_or_made("twice", doubled)
        assert len(hits) == 1
        doubled()["double"][0].compile()
        assert len(hits) == 2
    compilation_cache.reset_cache()


@pytest.mark.parametrize("change", ["made_from", "flags", "config", "source", "cores", "versions"])
def test_programs_of_anything_else_are_made(folder, monkeypatch, change):
    kept_or_made("twice", doubled)
    made_from = "thrice" if change == "made_from" else "twice"
    if change == "flags":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    elif change == "source":
        monkeypatch.setattr(program_cache, "_source", lambda: "edited")
    elif change == "cores":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(99), raising=False)
    elif change == "versions":
        monkeypatch.setattr(program_cache.device, "versions", lambda: {"jax": "99"})
    precision = "highest" if change == "config" else None
    with configured("jax_default_matmul_precision", precision):
        kept_or_made(made_from, doubled)
    assert len(list(folder.iterdir())) == (3 if change in ("made_from", "source") else 4)


def test_the_source_is_known_by_every_file_of_the_package(tmp_path, monkeypatch):
    module = tmp_path / "deep" / "a.py"
    module.parent.mkdir()
    module.write_text("x = 1")
    monkeypatch.setattr(program_cache, "__file__", str(tmp_path / "program_cache.py"))
    first = program_cache._source()
    module.write_text("x = 2")
    second = program_cache._source()
    module.rename(tmp_path / "deep" / "b.py")
    assert len({first, second, program_cache._source()}) == 3


@pytest.mark.parametrize("which", ["index", "program"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:50] + b"?" + b[51:], None]
)
def test_a_damaged_file_is_made_again(folder, damage, which):
    kept_or_made("twice", doubled)
    (program,) = set(folder.iterdir()) - {index(folder)}
    path = index(folder) if which == "index" else program
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    kept_or_made("twice", doubled)
    assert float(kept_or_made("twice", never)["double"](jnp.float32(1))) == 2


def test_a_full_disk_keeps_nothing_and_stops_nothing(full_disk, monkeypatch):
    monkeypatch.setenv("CRLSCALE_CACHE", str(full_disk))
    (full_disk / "ballast").write_bytes(bytes(255 * 1024))
    found = kept_or_made("twice", doubled)
    assert float(found["double"](jnp.float32(3))) == 6
    assert not any(path.is_file() for path in (full_disk / "programs").glob("*"))


@pytest.mark.parametrize("direction", ["serialize", "deserialize_and_load"])
def test_a_backend_that_refuses_stops_nothing(folder, monkeypatch, direction):
    """None does here; jax says so by one of these errors."""
    if direction == "deserialize_and_load":
        kept_or_made("twice", doubled)

    def refuse(*_):
        raise ValueError("Compilation does not support serialization")

    monkeypatch.setattr(program_cache, direction, refuse)
    assert float(kept_or_made("twice", doubled)["double"](jnp.float32(3))) == 6


def test_where_jax_may_keep_nothing_nothing_is_kept(folder):
    with configured("jax_enable_compilation_cache", False):
        kept_or_made("twice", doubled)
    assert not folder.exists()


def test_programs_of_several_devices_are_not_kept(folder):
    code = "from crlscale.program_cache import kept_or_made\nprint(kept_or_made('here', dict))"
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    run = subprocess.run([sys.executable, "-c", code], env=flags, capture_output=True, text=True)
    assert run.stdout.strip() == "{}" and not folder.exists(), run.stderr


def test_what_was_not_used_for_longest_makes_room(folder, monkeypatch):
    for age, name in enumerate(("new", "old", "oldest")):
        kept_or_made(name, doubled)
        os.utime(index(folder), (1000 - age, 1000 - age))
    kept_or_made("oldest", never)  # is used, so it is not the oldest any more
    size = sum(path.stat().st_size for path in folder.iterdir())
    monkeypatch.setattr(program_cache, "LIMIT", size)
    kept_or_made("newest", doubled)
    for name in ("oldest", "new", "newest"):
        kept_or_made(name, never)
    assert len(list(folder.iterdir())) == 4


def test_a_run_of_kept_programs_is_the_same_to_the_bit_and_donates_the_same(folder, monkeypatch):
    """All that a run calls, from programs that are traced and from those that are not."""
    config = make_config(TINY)
    first = carried(programs.compile_programs(config, 1), config)
    monkeypatch.setattr(programs, "make_trainer", lambda *_, **__: never())
    second = carried(programs.compile_programs(config, 1), config)
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def carried(made, config):
    """What each of the programs `made` returns, in the order of a run, with what a run knows of them."""
    key, hyper = jax.random.PRNGKey(0)[None], programs.split(config)[1]
    state = made.init(key)
    begun = state, made.start_tally(state)
    prefilled = made.epoch(hyper, *begun, jnp.int32(2), jnp.int32(0))
    state, tally = made.epoch(hyper, *prefilled, jnp.int32(2), jnp.int32(3))
    donated = [leaf.is_deleted() for leaf in jax.tree.leaves((begun, prefilled))]
    shapes = [(str(x.dtype), x.shape) for x in jax.tree.leaves(made.carry)]
    told = made.summary(state, tally), made.evaluate(state, key), made.blocks(hyper, state, key)
    assert all(donated) and shapes == [(str(x.dtype), x.shape) for x in jax.tree.leaves((state, tally))]
    return state, tally, told, made.physics["trajectory"]
