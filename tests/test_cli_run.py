"""`crlscale run`: which runs of which study, and what it says of them."""

import json

import pytest
from reading_cli import run
from real_runs import snapshot, tiny_study
from simulated import flat, write_study

from crlscale.study import STUDY_SCHEMA


@pytest.fixture
def planned(results):
    folder, study = tiny_study(results, axes={"depth": [4, 8]}, seeds=2)
    return folder, list(study.configs)


def refused(capsys, *arguments) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ") and "; try: " in err
    code, out, text = run(capsys, *arguments, "--json")
    assert (code, out, set(json.loads(text))) == (2, "", {"error", "value", "try"})
    return err


def test_mistakes_are_one_line_and_write_nothing(planned, results, capsys):
    ids = planned[1]
    before = snapshot(results)
    assert "there are: tiny" in refused(capsys, "run", "tinny", ids[0])
    assert "has no run 'nothing'" in refused(capsys, "run", "tiny", "nothing")
    assert ids[0] in refused(capsys, "run", "tiny", ids[0][:-3])
    assert "Missing argument" in refused(capsys, "run", "tiny")
    assert "No such option" in refused(capsys, "run", "tiny", ids[0], "--seed", "3")
    assert "crlscale run --help" in refused(capsys, "run")
    assert snapshot(results) == before


def test_newer_or_damaged_study_is_refused_and_stays(planned, results, capsys):
    folder, ids = planned
    path = folder / "study.json"
    text = path.read_text()
    for damage in (
        text.replace(f'"schema_version": {STUDY_SCHEMA}', f'"schema_version": {STUDY_SCHEMA + 1}'),
        text[: len(text) // 2],
        "",
    ):
        path.write_text(damage)
        before = snapshot(results)
        assert str(path) in refused(capsys, "run", "tiny", ids[0])
        assert snapshot(results) == before


def test_run_of_a_dead_foreign_claim_names_who_has_it(planned, results, capsys):
    folder, ids = planned
    run_folder = folder / "runs" / ids[0]
    run_folder.mkdir(parents=True)
    (run_folder / "claim.json").write_text('{"pid": 7, "host": "another-host", "born": 1.0}')
    assert "is being run by process 7 on another-host" in refused(capsys, "run", "tiny", ids[0])


def test_finished_runs_are_told_and_left(results, capsys):
    folder = write_study(
        results, {"depth": [4]}, flat, seeds=2, outcome={(4, 1): "diverged"}, name="mine"
    )
    ids = list(json.loads((folder / "study.json").read_text())["configs"])
    before = snapshot(results)
    code, out, err = run(capsys, "run", "mine", *ids)
    assert (code, out) == (0, "")
    assert err == (
        f"nothing to do: {ids[0]}, {ids[1]} finished already\ncomplete: {ids[0]}\ndiverged: {ids[1]}\n"
    )
    code, out, _ = run(capsys, "run", str(folder), *ids, "--json")  # a folder does as well
    data = json.loads(out)
    assert (code, data["schema"], data["exit_code"], data["study"]) == (0, 1, 0, "mine")
    assert [row["status"] for row in data["rows"]] == ["complete", "diverged"]
    assert snapshot(results) == before


def test_run_that_is_given_twice_is_one_run(results, capsys):
    folder = write_study(results, {"depth": [4]}, flat, seeds=1, name="mine")
    (run_id,) = json.loads((folder / "study.json").read_text())["configs"]
    assert run(capsys, "run", "mine", run_id, run_id)[0] == 0
