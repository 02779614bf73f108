"""The main job in small: plan, train, table, figure, and the same command again."""

import json
from pathlib import Path

import pytest
from real_runs import crlscale, once, snapshot

from crlscale import store
from crlscale.study import load_study

LINE = ("sweep", "depth", "--min", "2", "--max", "8", "--seeds", "1", "--preset", "smoke")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """What was planned, what a sweep of three depths said and left, and what the next command says."""

    def make(folder):
        where = ("--results", str(folder))
        plan = json.loads(crlscale(*LINE, *where, "--dry-run", "--json")[1])
        made = {"plan": plan, "written_by_the_plan": [p.name for p in folder.glob("*depth*")]}
        made["sweep"] = crlscale(*LINE, *where)
        made["next"] = made["sweep"][2].splitlines()[-1].removeprefix("next: crlscale ")
        return made

    made = once(tmp_path_factory, "job", make)
    return {**made, "study": made["folder"] / made["plan"]["study"]}


def test_sweep_shows_plan_progress_table_and_what_to_type_next(job):
    code, out, err = job["sweep"]
    assert code == 0
    assert "3 cells x 1 seed = 3 runs" in out
    assert f"{job['study'].name}: time at goal" in out
    assert out.index("3 runs") < out.index(f"{job['study'].name}: time at goal")
    for depth in (2, 4, 8):
        assert f"running: depth {depth}, seed 0" in err
        assert f"complete: depth {depth}, seed 0, time at goal " in err
    assert "3 of 3 runs done" in err
    assert "\x1b" not in out + err
    figures = [line for line in out.splitlines() if line.endswith((".png", ".svg"))]
    assert [Path(line).stem for line in figures] == ["critical-depth"] * 2  # whole, to be copied
    assert all(Path(line).stat().st_size > 1000 for line in figures)
    assert max(len(line) for line in out.splitlines() if line not in figures) <= 80
    assert "Traceback" not in err and "Warning" not in err


def test_plan_wrote_nothing_and_is_what_was_run(job):
    assert job["written_by_the_plan"] == []
    study = load_study(job["study"])
    assert list(study.configs) == [run["run_id"] for run in job["plan"]["runs"]]
    for planned in job["plan"]["runs"]:
        run = job["study"] / "runs" / planned["run_id"]
        assert store.read_json(run / "config.json") == planned["config"]
        last = store.read_run_metrics(run)[-1]
        assert last["env_steps"] == planned["env_steps"]
        assert last["gradient_steps"] == planned["updates"] == 20
        assert last["evaluation"] == planned["config"]["evaluations"] == 2
        assert last["peak_memory_bytes"] < 2 * planned["predicted_memory_bytes"]


def test_each_run_has_its_measurements_its_log_and_nothing_more(job):
    for run_id in load_study(job["study"]).configs:
        run = job["study"] / "runs" / run_id
        assert {path.name for path in run.iterdir()} == {
            *(
                "config.json",
                "status.json",
                "history.jsonl",
                "metrics.parquet",
                "log.txt",
                "blocks.parquet",
            )
        }
        assert (run / "log.txt").read_text() == f"complete: {run_id}\n"


def test_same_command_again_is_a_no_op_that_says_so(job):
    before = snapshot(job["study"])
    code, out, err = crlscale(*LINE, "--results", str(job["folder"]), "--json")
    assert code == 0
    assert "3 of 3 runs have finished already" in err and "nothing to run" in err
    data = json.loads(out)
    assert data["schema"] == 1
    assert [(row["depth"], row["statuses"]) for row in data["rows"]] == [
        (depth, ["complete"]) for depth in (2, 4, 8)
    ]
    for row, run_id in zip(data["rows"], load_study(job["study"]).configs, strict=True):
        rows = store.read_run_metrics(job["study"] / "runs" / run_id)
        measured = [r["time_at_goal_all"] for r in rows if r["evaluation"] > 0]
        assert row["scores"] == [pytest.approx(sum(measured) / 2)]
        assert row["score"] == pytest.approx(row["scores"][0])
    assert snapshot(job["study"]) == before


def test_command_that_it_names_next_works(job, tmp_path):
    code, _, _ = crlscale(*job["next"].split(), "--out", str(tmp_path))
    assert code == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg"}
    assert all(path.stat().st_size > 1000 for path in map(Path, tmp_path.iterdir()))


@pytest.mark.slow
def test_deepest_run_trains(tmp_path):
    """Depth 1024: its program is no larger than that of depth 4."""
    line = ("sweep", "depth", "--levels", "1024", "--seeds", "1", "--preset", "smoke")
    code, out, _ = crlscale(*line, "--results", str(tmp_path), "--json")
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert (row["depth"], row["statuses"]) == (1024, ["complete"])
