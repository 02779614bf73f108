"""`crlscale analyze` on simulated studies: the sentence, the tables, JSON, and what it refuses."""

import json

import numpy as np
import pytest
from reading_cli import run, run_json
from simulated import saturating, stepping, write_study

DEPTHS = [2, 4, 8, 16, 32]


def unlocking(config, rng) -> float:
    """Batches pay only for deep networks."""
    gain = np.log2(config.depth) * np.log2(config.batch_size / 32)
    return float(10 + gain + rng.normal(0, 0.5))


def critic_needs_it(config, rng) -> float:
    return float(10 + 4 * np.log2(config.critic_depth) + rng.normal(0, 0.4))


def test_critical_depth_says_its_sentence_and_its_tables(results, capsys):
    folder = write_study(results, {"depth": DEPTHS}, stepping, outcome={(4, 1): "failed"})
    code, out, err = run(capsys, "analyze", "critical-depth")
    assert code == 0
    words = " ".join(out.split())
    assert "Critical depth 8 (95 % interval 8 only, bracketed)" in words and "times [" in words
    assert "1 not complete (diverged" in words and "d4-w16-b32-s1" in words and ": failed" in words
    assert err == f"next: crlscale plot critical-depth {folder.name} --results {results}\n"
    (row,) = run_json(capsys, "analyze", "critical-depth")["rows"]
    assert row["jumps"][0]["critical_depth"] == 8
    assert row["jumps"][0]["size"]["low"] > 10
    assert min(row["gains"], key=lambda gain: gain["p_holm"])["to"] == 8


def test_batch_finds_that_depth_unlocks_it(results, capsys):
    write_study(results, {"depth": [2, 4, 16], "batch_size": [32, 64, 128]}, unlocking)
    (row,) = run_json(capsys, "analyze", "batch")["rows"]
    assert row["verdict"] == "unlocks" and row["sentence"].startswith("Depth unlocks batch size")
    assert row["grid"]["interaction"]["low"] > 0.5
    assert row["grid"]["p_value"] < 0.05
    assert row["critical"]["16"]["verdict"] == "rising"
    code, out, _ = run(capsys, "analyze", "batch")
    assert code == 0 and "batch across" in out and "critical batch" in out


def test_actor_critic_and_the_rule_of_half(results, capsys):
    axes = {"actor_depth": [4, 8, 16], "critic_depth": [4, 8, 16]}
    write_study(results, axes, critic_needs_it, seeds=4)
    (row,) = run_json(capsys, "analyze", "actor-critic")["rows"]
    assert row["verdict"] == "critic"
    assert row["difference"]["value"] == pytest.approx(3.5, abs=0.5)  # 4 at the end of a rise
    assert [pair[0] for pair in row["half"]["pairs"]] == [8, 16]
    assert row["half"]["verdict"] == "as good"
    code, out, _ = run(capsys, "analyze", "actor-critic")
    assert code == 0 and "as good" in " ".join(out.split())


def test_limits_of_a_curve_that_ends(results, capsys):
    write_study(results, {"depth": [2, 4, 8, 16, 32, 64]}, saturating, seeds=5)
    (row,) = run_json(capsys, "analyze", "limits")["rows"]
    assert row["saturation"]["level"] == 8 and row["saturation"]["verdict"] == "saturates"
    assert row["laws"][0]["name"] == "saturating"
    ahead = row["laws"][0]["predictions"][0]
    assert (ahead["level"], ahead["low"] < ahead["value"] < ahead["high"]) == (128, True)
    code, out, _ = run(capsys, "analyze", "limits", "--margin", "0.001")
    assert code == 0 and "saturation depth 8" not in out


def test_limits_list_diverged_runs_and_their_rule(results, capsys):
    folder = write_study(results, {"depth": DEPTHS}, stepping, outcome={(32, 0): "diverged"})
    out = {
        rule: run_json(capsys, "analyze", "limits", "--diverged", rule)
        for rule in ("last", "zero", "drop")
    }
    cells = {rule: found["rows"][0]["cells"][-1] for rule, found in out.items()}
    assert (cells["zero"]["scores"][0], cells["drop"]["scores"][0]) == (0.0, None)
    assert cells["last"]["scores"][0] > 0
    assert all(found["listed"] == out["last"]["listed"] for found in out.values())
    assert out["last"]["listed"][0]["status"] == "diverged"
    assert "diverged: 1 at 32" in out["drop"]["rows"][0]["sentence"]
    code, _, err = run(capsys, "analyze", "limits", folder.name, "--diverged", "hide")
    assert code == 2 and "no such rule" in err


def test_surface_says_where_compute_should_go(results, capsys):
    def score(config, rng):
        depth, width = np.log2(config.depth), np.log2(config.width)
        return float(5 + 1.0 * depth + 4.0 * width + rng.normal(0, 0.2))

    write_study(results, {"depth": [2, 4, 8], "width": [16, 32, 64]}, score)
    (row,) = run_json(capsys, "analyze", "surface")["rows"]
    assert row["verdict"] == "width" and row["edges"] == ["depth", "width"]
    assert "should go to width" in row["sentence"] and "not bracketed" in row["sentence"]
    assert {front["cost"] for front in row["fronts"]} >= {"parameters", "training_flops", "hours"}
    code, out, _ = run(capsys, "analyze", "surface")
    assert code == 0 and "Best cell at each budget" in out


@pytest.mark.parametrize("question", ["batch", "actor-critic", "surface"])
def test_a_study_without_the_axes_is_refused_with_what_to_type(results, capsys, question):
    folder = write_study(results, {"depth": DEPTHS}, stepping)
    code, out, err = run(capsys, "analyze", question)
    assert (code, out) == (2, "") and "does not hold a study with axes" in err
    code, out, err = run(capsys, "analyze", question, folder.name)
    assert (code, out) == (2, "") and "crlscale sweep grid" in err


def test_the_same_study_gives_the_same_bytes(results, capsys):
    write_study(results, {"depth": [2, 4, 8], "batch_size": [32, 64]}, unlocking)
    for question in ("critical-depth", "batch", "limits"):
        first = json.dumps(run_json(capsys, "analyze", question))
        assert json.dumps(run_json(capsys, "analyze", question)) == first
