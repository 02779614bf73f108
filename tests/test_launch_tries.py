"""Which deaths are worth another try: cases worked out by hand."""

import pytest

from crlscale.launch.tries import Tries

BEFORE = {"status": "planned"}
BEGUN = {"attempts": 1, "started": 1.0}


def failed(kind: str | None) -> dict:
    return {**BEGUN, "status": "failed", "kind": kind, "ended": 2.0}


def stopped(steps: int, attempts: int = 1) -> dict:
    return {"status": "stopped", "env_steps": steps, "attempts": attempts, "started": 1.0, "ended": 2.0}


def tries_of(outcome: dict, retries: int) -> int:
    """How often a run is started that ends like this each time."""
    tries, count = Tries(retries), 0
    while True:
        tries.started("a", {**BEFORE, "ended": float(count)})
        count += 1
        if not tries.again({"a": outcome | {"ended": 100.0 + count}}):
            return count


@pytest.mark.parametrize(
    ("kind", "retries", "starts"),
    [
        ("killed", 2, 3),
        ("killed", 0, 1),
        ("preempted", 1, 2),
        ("lost", 4, 5),
        ("out_of_memory", 4, 2),  # once more at most
        ("out_of_memory", 0, 1),
        ("exception", 4, 1),
        ("illegal", 4, 1),
        ("unwritable", 4, 1),
        (None, 4, 1),  # of an older version
    ],
)
def test_how_often_a_run_is_started(kind, retries, starts):
    assert tries_of(failed(kind), retries) == starts


def test_stopped_run_goes_on_as_long_as_it_gets_further():
    tries, before = Tries(retries=0), dict(BEFORE)
    for attempt in range(1, 20):
        tries.started("a", before)
        before = stopped(100 * attempt, attempt)
        assert tries.again({"a": before}) == ["a"]
    tries.started("a", before)
    assert tries.again({"a": stopped(1900, 20)}) == []  # no further than before


def test_finished_runs_are_left_alone():
    tries = Tries(2)
    for run_id in "abc":
        tries.started(run_id, BEFORE)
    ended = {"a": {**BEGUN, "status": "complete"}, "b": failed("killed"), "c": {"status": "diverged"}}
    assert tries.again(ended) == ["b"]


def test_runs_that_were_to_come_after_the_one_that_died_have_lost_no_try():
    """Whatever an earlier launcher had recorded of them."""
    tries, stale = Tries(retries=0), failed("exception")
    tries.started("a", BEFORE)
    tries.started("b", BEFORE)
    tries.started("c", stale)
    assert tries.again({"a": failed("killed"), "b": BEFORE, "c": stale}) == ["b", "c"]
    assert tries.deaths == {"a": 1}


def test_process_in_which_nothing_begins_is_not_started_for_ever():
    tries = Tries(retries=1)
    for expected in (["a", "b"], []):
        for run_id in "ab":
            tries.started(run_id, BEFORE)
        assert tries.again({"a": BEFORE, "b": BEFORE}) == expected


def test_count_of_deaths_goes_on_in_the_next_process():
    tries = Tries(retries=2, deaths={"a": 2})
    tries.started("a", BEFORE)
    assert tries.again({"a": failed("killed")}) == []
