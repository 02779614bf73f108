"""Random kill -9 of workers, launcher and both together: every run is complete once, and no bit differs."""

import json

import pytest
from fault_injection import run
from fault_report import Report, as_markdown, history, overlaps, problems
from real_runs import tiny_study

from crlscale import store
from crlscale.record import RunRecord

RUNS, KILLS, SEED = 6, 20, 3


@pytest.mark.slow
def test_study_under_kills_is_complete_exactly_once_and_equals_an_undisturbed_one(tmp_path):
    print(f"python tests/fault_injection.py --runs {RUNS} --kills {KILLS} --seed {SEED}")
    report, folder, plain = run(tmp_path, RUNS, KILLS, SEED)
    assert problems(folder, plain) == []
    assert len(report.kills) > KILLS // 2  # else the study was over before
    assert len({target for target, _ in report.kills}) > 1
    page = as_markdown(report, folder, [])
    assert f"| complete | {RUNS} |" in page
    assert page.count("\n| ") > 20


# --- would it be seen? -----------------------------------------------------------------------
@pytest.fixture
def two(tmp_path):
    """Two equal finished studies of one run, as if run; the run's folder and both studies'."""
    folders = []
    for name in ("one", "other"):
        folder, study = tiny_study(tmp_path / name)
        (run_id,) = study.configs
        run_folder = folder / "runs" / run_id
        store.write_metrics(run_folder, [{"run_id": run_id, "evaluation": 0}], {"status": "complete"})
        entry = RunRecord(run_folder, run_id)
        entry.begin()
        entry.end("complete")
        folders.append(folder)
    return folders[0] / "runs" / run_id, *folders


def test_equal_studies_have_no_problems(two):
    assert problems(*two[1:]) == []


def test_second_completion_is_seen(two):
    run_folder, *studies = two
    entry = RunRecord(run_folder, run_folder.name)
    entry.begin()
    entry.end("complete")
    found = "; ".join(problems(*studies))
    assert "completed 2 times" in found and "started 1 times after it was complete" in found


def test_run_that_is_not_complete_is_seen(two):
    run_folder, *studies = two
    entry = RunRecord(run_folder, run_folder.name)
    entry.begin()
    entry.end("stopped")
    assert f"{run_folder.name}: stopped" in problems(*studies)


@pytest.mark.parametrize(
    "value, seen", [({"critic_loss": 1e-300}, True), ({"cpu_seconds": 3.0}, False)]
)
def test_any_bit_but_times_is_seen(two, value, seen):
    run_folder, *studies = two
    row = {"run_id": run_folder.name, "evaluation": 0, **value}
    store.write_metrics(run_folder, [row], {"status": "complete"})
    assert problems(*studies) == (
        [f"{run_folder.name}: metrics differ from the undisturbed run"] * seen
    )


def test_debris_is_seen(two):
    run_folder, *studies = two
    (run_folder / "checkpoints").mkdir()
    assert problems(*studies) == [f"{run_folder.name}: left checkpoints"]


def test_two_processes_at_once_are_seen(tmp_path):
    lines = [
        {"event": "started", "pid": 1},
        {"event": "started", "pid": 2},
        {"event": "phase", "pid": 2},
    ]
    assert not overlaps(lines)
    assert not overlaps([*lines, {"event": "failed", "pid": 1}])  # the launcher may have its number
    assert overlaps([*lines, {"event": "phase", "pid": 1}])
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"ev')
    assert history(tmp_path) == lines  # a line that was cut short is none


def test_page_counts_what_was_killed_where(two):
    report = Report(runs=1, seed=7, kills=[("worker", "train"), ("group", "write")], processes=4)
    page = as_markdown(report, two[1], ["a: odd"])
    assert "| train | 1 | 0 | 0 |" in page and "| all | 1 | 0 | 1 |" in page
    assert "--kills 2 --seed 7" in page and "- a: odd" in page
