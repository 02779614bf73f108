"""An adaptive search over a study on disk: which runs it starts, what it writes, how it goes on."""

import json

import numpy as np
import pytest
from simulated import flat, stepping, write_run

from crlscale.adaptive import Budget, search_study
from crlscale.errors import CrlscaleError
from crlscale.plan import plan_study
from crlscale.record import read_status
from crlscale.store import write_json
from crlscale.study import register_study

DEPTHS = [1, 2, 4, 8, 16, 32]


class Runs:
    """Launches by writing what a run with the score `score(config, rng)` would have stored."""

    def __init__(self, folder, study, score, outcome=None, stop_after=None):
        self.folder, self.study, self.score = folder, study, score
        self.outcome, self.stop_after = outcome or {}, stop_after
        self.launched: list[str] = []

    def __call__(self, run_ids: list[str]) -> int:
        failed = False
        for run_id in run_ids:
            if self.stop_after is not None and len(self.launched) >= self.stop_after:
                return 130
            assert read_status(self.folder / "runs" / run_id)["status"] not in ("complete", "diverged")
            self.launched.append(run_id)
            status = self.outcome.get(run_id, "complete")
            failed |= status == "failed"
            write_run(self.folder, self.study, self.study.configs[run_id], self.score, status)
        return int(failed)


@pytest.fixture
def study(results):
    return register_study(results, plan_study({"depth": DEPTHS}, seeds=5, preset="smoke", name="found"))


def record(folder) -> dict:
    return json.loads((folder / "search.json").read_text())


def test_finds_the_jump_with_fewer_runs_and_says_so(study):
    folder, planned = study
    runs, told = Runs(folder, planned, stepping), []
    result = search_study(folder, planned, runs, Budget(), told.append)
    assert result.code == 0 and result.record == record(folder) | {"seconds": result.record["seconds"]}
    assert (result.record["outcome"], result.record["low"], result.record["high"]) == ("jump", 4, 8)
    spent = len(runs.launched)
    assert result.record["runs_spent"] == spent == len(set(runs.launched)) < 20
    assert result.record["sentence"] == (
        f"The jump lies between depths 4 and 8: critical depth 8. {spent} runs were spent;"
        " the full grid has 30."
    )
    assert told[0] == "round 1: 3 at depth 1, 3 at depth 4, 3 at depth 32"
    assert [run_id for each in record(folder)["rounds"] for run_id in each["ask"]] == runs.launched


def test_finished_search_is_a_no_op(study):
    folder, planned = study
    search_study(folder, planned, Runs(folder, planned, stepping), Budget())
    before = record(folder)
    again = Runs(folder, planned, stepping)
    result = search_study(folder, planned, again, Budget())
    assert again.launched == []
    assert {**result.record, "seconds": 0} == {**before, "seconds": 0}


def test_runs_of_the_full_grid_are_not_run_again(study):
    folder, planned = study
    for config in planned.configs.values():
        write_run(folder, planned, config, stepping, "complete")
    runs = Runs(folder, planned, stepping)
    result = search_study(folder, planned, runs, Budget())
    assert runs.launched == [] and result.record["outcome"] == "jump"
    assert result.record["runs_spent"] < 20  # what it looked at


@pytest.mark.parametrize("stop_after", [0, 4, 9, 10])
def test_stopped_search_goes_on_with_the_same_decisions(study, results, stop_after):
    folder, planned = study
    runs = Runs(folder, planned, stepping, stop_after=stop_after)
    stopped = search_study(folder, planned, runs, Budget())
    assert (stopped.code, record(folder)["outcome"]) == (130, None)
    rounds = record(folder)["rounds"]
    rest = Runs(folder, planned, stepping)
    finished = search_study(folder, planned, rest, Budget())
    assert finished.record["rounds"][: len(rounds)] == rounds
    assert finished.record["superseded"] == []
    whole = register_study(results, planned.model_copy(update={"name": "whole"}))
    undisturbed = Runs(*whole, stepping)
    expected = search_study(*whole, undisturbed, Budget()).record
    assert sorted(runs.launched + rest.launched) == sorted(undisturbed.launched)
    assert finished.record["rounds"] == expected["rounds"]


def test_budget_of_runs_ends_it_and_a_larger_one_goes_on(study):
    folder, planned = study
    runs = Runs(folder, planned, stepping)
    record_ = search_study(folder, planned, runs, Budget(max_runs=10)).record
    assert (record_["outcome"], record_["runs_spent"], len(runs.launched)) == ("budget", 9, 9)
    assert "The budget ended. The half of the rise lies between depths 4 and 32" in record_["sentence"]
    more = search_study(folder, planned, runs, Budget(max_runs=30)).record
    assert more["outcome"] == "jump" and more["superseded"] == []
    assert more["rounds"][: len(record_["rounds"])] == record_["rounds"]


def test_budget_of_hours_counts_earlier_sessions(study):
    folder, planned = study
    runs = Runs(folder, planned, stepping)
    assert search_study(folder, planned, runs, Budget(max_runs=10)).record["outcome"] == "budget"
    write_json(folder / "search.json", {**record(folder), "seconds": 7200.0})
    ended = search_study(folder, planned, runs, Budget(max_hours=1.5)).record
    assert (ended["outcome"], len(runs.launched)) == ("budget", 9)
    assert search_study(folder, planned, runs, Budget(max_hours=3)).record["outcome"] == "jump"


def test_failed_runs_are_spent_and_said_and_tried_again_next_time(study):
    folder, planned = study
    first = next(iter(planned.configs))
    runs = Runs(folder, planned, stepping, outcome={first: "failed"})
    result = search_study(folder, planned, runs, Budget())
    assert (result.code, result.record["outcome"]) == (1, "jump")
    assert runs.launched.count(first) == 1
    again = Runs(folder, planned, stepping)
    result = search_study(folder, planned, again, Budget())
    assert again.launched[0] == first and result.code == 0
    # its score is new, so the decisions are made anew and the old ones kept
    assert len(result.record["superseded"]) == 1


def test_flat_study_has_no_jump(study):
    folder, planned = study
    result = search_study(folder, planned, Runs(folder, planned, flat), Budget())
    assert result.record["outcome"] in ("flat", "undecided")
    assert result.record["sentence"].startswith("No jump between depths 1 and 32")
    assert result.record["low"] is None


def test_levels_in_any_order(results):
    levels = [32, 1, 8, 4, 16, 2]
    folder, planned = register_study(
        results, plan_study({"depth": levels}, seeds=4, preset="smoke", name="shuffled")
    )
    found = search_study(folder, planned, Runs(folder, planned, stepping), Budget()).record
    assert (found["depths"], found["low"], found["high"]) == (DEPTHS, 4, 8)


def test_a_gradual_rise_has_no_critical_depth(study):
    folder, planned = study

    def rising(config, rng):
        return float(5 + 6 * np.log2(config.depth) + rng.normal(0, 1.0))

    found = search_study(folder, planned, Runs(folder, planned, rising), Budget()).record
    assert found["outcome"] == "gradual"
    assert found["sentence"].startswith(
        "No critical depth: the scores rise gradually; half of the rise"
    )


def test_what_cannot_be_searched_is_refused(study, results):
    folder, planned = study
    never = Runs(folder, planned, stepping)
    with pytest.raises(CrlscaleError, match="the first round alone has 9 runs"):
        search_study(folder, planned, never, Budget(max_runs=8))
    with pytest.raises(CrlscaleError, match="more than 0"):
        search_study(folder, planned, never, Budget(max_hours=0.0))
    for axes, seeds in (({"width": [16, 32, 64]}, 3), ({"depth": [4, 8]}, 3), ({"depth": DEPTHS}, 1)):
        other = register_study(results, plan_study(axes, seeds=seeds, preset="smoke"))
        with pytest.raises(CrlscaleError, match="a search needs"):
            search_study(*other, never, Budget())
    assert never.launched == [] and not (folder / "search.json").exists()
