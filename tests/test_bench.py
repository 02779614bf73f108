"""`crlscale bench`: the turns, the ratios, the tables and files; what is refused. No time is asserted."""

import os

import jax
import jax.numpy as jnp
import pytest
from reading_cli import run, run_json

from crlscale import machine
from crlscale.bench import against, alone, env_steps, ours, updates
from crlscale.bench import ratios as turns
from crlscale.bench.columns import AGAINST, COLUMNS
from crlscale.bench.naive import phase as naive_phase
from crlscale.bench.naive import sides
from crlscale.bench.ratios import Job, Side, by_cpu_time, compare, in_turn
from crlscale.cli.bench import _kept
from crlscale.parquet import read_table

TINY = ("--depths", "4", "--batches", "8", "--width", "8", "--rounds", "2")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Short turns; the cores and settings of this process are as before when the test has ended."""
    monkeypatch.setenv("CRLSCALE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(turns, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(updates, "MEASURED_SECONDS", 0.0)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    jax.config.update("jax_disable_most_optimizations", True)  # half the compile time
    yield tmp_path
    jax.config.update("jax_disable_most_optimizations", False)
    if cores is not None:
        os.sched_setaffinity(0, cores)


# --- turns and ratios ------------------------------------------------------------------------
class Clock:
    """CPU time that passes only where a job says so."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(turns.time, "process_time", lambda: self.now)

    def job(self, name, *seconds):
        """A job that takes `seconds` one after the other, the last ones again and again."""
        left = list(seconds)

        def run(times):
            self.calls.append((name, times))
            for _ in range(times):
                self.now += left.pop(0) if len(left) > 1 else left[0]

        return by_cpu_time(run)


def test_sides_take_turns_after_a_first_job_that_does_not_count(monkeypatch):
    clock = Clock(monkeypatch)
    taken = in_turn([clock.job("a", 9.0, 0.5), clock.job("b", 7.0, 4.0)], rounds=2, least=2.0)
    assert clock.calls == [("a", 1), ("a", 1), ("b", 1), ("b", 1), *[("a", 4), ("b", 1)] * 2]
    assert taken == [[0.5, 0.5], [4.0, 4.0]]


def test_a_ratio_is_of_each_round(monkeypatch):
    """Rounds of 1, 2, 4 seconds beside 3, 4, 20: ratios 3, 2, 5."""
    clock = Clock(monkeypatch)
    mine = Side(clock.job("ours", 9, 1, 1, 2, 4), 5.0, 2_000_000)
    theirs = Side(clock.job("theirs", 9, 1, 3, 4, 20), 7.0, None)
    (found,) = compare(Job("phase", "ant", 4, 8, 16, 32), "peer", {"mixed": mine}, theirs, 3, least=0.0)
    assert found.ratios == (3, 2, 5) and found.ratio == 3
    row = found.as_row()
    assert row.keys() == {column.name for column in AGAINST}
    assert (row["seconds"], row["peer_seconds"], row["rounds"]) == (2, 4, 3)
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (3, 2, 5)
    assert (row["compile_seconds"], row["peer_compile_seconds"]) == (5.0, 7.0)
    assert (row["temporary_megabytes"], row["peer_temporary_megabytes"]) == (2.0, None)


# --- the real thing, tiny ---------------------------------------------------------------------
def check_file(path, name, count):
    table, footer = read_table(path)
    assert table.column_names == [column.name for column in COLUMNS[name]]
    assert table.num_rows == count and footer["threads"] == 1
    assert footer["device"] and footer["versions"]["jax"] and len(footer["load_average"]) == 3
    return table.to_pylist()


def test_updates_and_samples_against_naive(capsys, here, monkeypatch):
    monkeypatch.setattr(against, "SAMPLED_ENVS", (3,))
    monkeypatch.setattr(ours, "STEPS", 16)
    out = here / "out"
    command = ("bench", "--against", "naive", "--parts", "update,sampler", *TINY, "--out", str(out))
    code, text, err = run(capsys, *command)
    assert code == 0 and f"written: {out}/against-naive.parquet" in err
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "one update, width 8: ours and naive" in text and "batch 8" in text
    rows = check_file(out / "against-naive.parquet", "against-PEER", 3)
    assert [(r["part"], r["precision"], r["depth"], r["num_envs"]) for r in rows] == [
        ("update", "float32", 4, None),
        ("update", "mixed", 4, None),
        ("sampler", "float32", None, 3),
    ]
    for row in rows:
        assert row["peer"] == "naive" and row["rounds"] == 2
        assert 0 < row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert min(row["seconds"], row["peer_seconds"], row["compile_seconds"]) > 0


@pytest.mark.slow
def test_phases_against_naive_as_json(capsys, here, monkeypatch):
    """A task without physics, so that a phase is short; the updates of a window of 20 steps."""
    monkeypatch.setattr(naive_phase, "WINDOW", 20)
    small = {"num_envs": 4, "unroll_length": 5, "prefill_steps": 20, "replay_capacity": 30}
    monkeypatch.setattr(ours, "PHASE", {**small, "updates_per_phase": 2})
    data = run_json(capsys, "bench", "--against", "naive", "--parts", "phase", "--envs", "chain_2",
                    *TINY, "--out", str(here))  # fmt: skip
    assert data["file"] == str(here / "against-naive.parquet")
    assert [(row["env"], row["precision"]) for row in data["rows"]] == [
        ("chain_2", "float32"),
        ("chain_2", "mixed"),
    ]
    assert check_file(here / "against-naive.parquet", "against-PEER", 2) == [
        {column.name: row[column.name] for column in AGAINST} for row in data["rows"]
    ]


def test_our_samples_take_no_more_memory_than_what_they_return(monkeypatch):
    """64 batches of 32: temporaries below the batches; the naive design's have T x T of each env."""
    monkeypatch.setattr(ours, "STEPS", 128)
    mine, theirs = (side.draw_samples(16, 32)[1].memory_analysis() for side in (ours, sides))
    batches = 64 * 32 * (29 + 8 + 2) * 4
    assert mine.output_size_in_bytes >= batches and theirs.output_size_in_bytes >= batches
    assert mine.temp_size_in_bytes < batches
    assert theirs.temp_size_in_bytes >= 16 * 128 * 128 * 4


def test_both_samplers_give_what_an_update_takes(monkeypatch):
    monkeypatch.setattr(ours, "STEPS", 24)
    key = jax.random.PRNGKey(0)
    mine, theirs = (side.draw_samples(4, 8)[0](key) for side in (ours, sides))
    for name in ("state", "action", "goal"):
        assert getattr(mine, name).shape == getattr(theirs, name).shape
        assert getattr(mine, name).shape[:2] == (12, 8)
        assert jnp.ptp(getattr(theirs, name)) > 1


@pytest.mark.slow
def test_plain_bench_measures_every_part_and_writes_a_file_of_each(capsys, here, monkeypatch):
    monkeypatch.setattr(alone, "SAMPLED_ENVS", (3,))
    monkeypatch.setattr(alone, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(env_steps, "MEASURED_SECONDS", 0.001)
    monkeypatch.setattr(ours, "STEPS", 16)
    small = {"num_envs": 4, "unroll_length": 5, "prefill_steps": 20, "replay_capacity": 30}
    monkeypatch.setattr(ours, "PHASE", {**small, "updates_per_phase": 2})
    results = here / "results"
    data = run_json(capsys, "bench", *TINY[:-2], "--envs", "chain_2", "--parts",
                    "update,sampler,step,phase", "--results", str(results))  # fmt: skip
    for part, name in alone.FILES.items():
        path = results / "bench" / f"{name}.parquet"
        assert data[part]["file"] == str(path)
        assert check_file(path, name, 1) == data[part]["rows"]
    (phase,) = data["phase"]["rows"]
    assert phase["env_steps_per_second"] == pytest.approx(4 * 5 / phase["seconds"])
    assert phase["updates_per_second"] == pytest.approx(2 / phase["seconds"])
    (update,) = data["update"]["rows"]
    assert machine.matmul_rate(8, 8) == pytest.approx(update["matmul_gigaflops"] * 1e9)


def test_rows_are_in_the_file_as_soon_as_they_are_measured(tmp_path):
    def measured():
        yield dict.fromkeys(names, 1.0) | {"num_envs": 1, "batch_size": 2}
        assert read_table(tmp_path / "samples.parquet")[0].num_rows == 1
        raise KeyboardInterrupt

    names = [column.name for column in COLUMNS["samples"]]
    with pytest.raises(KeyboardInterrupt):
        _kept(tmp_path, "samples", COLUMNS["samples"], measured(), 1, lambda row: None)
    assert check_file(tmp_path / "samples.parquet", "samples", 1)[0]["batch_size"] == 2


# --- what is refused --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "error", "remedy"),
    [
        (("--against", "jax"), "unknown peer 'jax'; legal: naive, jaxgcrl", "--against naive"),
        (("--against", "naive", "--parts", "updates"), "legal: update, sampler, phase", "--parts"),
        (("--parts", "updates"), "unknown part 'updates'; legal: update, sampler, step", "--parts"),
        (("--against", "naive", "--depths", "6"), "depth", "4"),
        (("--against", "naive", "--rounds", "0"), "--rounds is at least 1", "--rounds 3"),
        (("--against", "naive", "--envs", "ants"), "unknown env 'ants'", "ant"),
        (("--against", "naive", "--batches", "a"), "--batches 'a'", "--batches"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_measured(capsys, words, error, remedy):
    code, out, err = run(capsys, "bench", *words)
    assert (code, out) == (2, "")
    assert error in err and remedy in err.split("; try:")[1]
