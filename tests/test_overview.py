"""Where a study stands: looks that read only what changed, damage as a state, the time left."""

import io
import json
import re
import threading

import pytest
from real_runs import tiny_study
from rich.console import Console
from simulated import flat, write_run

from crlscale.cli.board import LETTERS, Screen, board
from crlscale.overview import STATES, Overview, log_tail
from crlscale.record import RunRecord
from crlscale.store import write_json

NOW = 1_800_000_000.0


@pytest.fixture
def study(results):
    """Folder and study: two depths, three seeds, nothing run."""
    return tiny_study(results, axes={"depth": [4, 8]}, seeds=3)


def write(folder, run_id, status, **fields):
    data = {"schema_version": 1, "run_id": run_id, "status": status, "heartbeat": NOW, **fields}
    write_json(folder / "runs" / run_id / "status.json", data)


def look(folder, now=NOW) -> Overview:
    overview = Overview(folder)
    overview.look(now)
    return overview


def draw(overview, width=80, height=None, **options) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, **options)
    console.print(board(overview, Screen(width, height)))
    return console.export_text()


def test_second_look_reads_only_what_changed(study):
    folder, planned = study
    first, second, *_ = planned.configs
    write(folder, first, "complete")
    write(folder, second, "running", env_steps=10)
    overview = Overview(folder)
    assert overview.look(NOW) == 6
    assert overview.look(NOW) == 0
    write(folder, second, "running", env_steps=20)
    assert overview.look(NOW) == 1
    assert overview.runs[second]["env_steps"] == 20
    (folder / "runs" / first / "status.json").unlink()  # redone by somebody
    assert overview.look(NOW) == 1
    assert overview.runs[first] == {"status": "planned"}


def test_a_run_turns_lost_without_being_read_again(study):
    folder, planned = study
    run_id = next(iter(planned.configs))
    write(folder, run_id, "running")
    overview = look(folder, NOW + 59)
    assert overview.runs[run_id]["status"] == "running"
    assert overview.look(NOW + 61) == 0
    assert overview.runs[run_id]["status"] == "lost"


def test_a_run_whose_host_has_another_clock_is_seen_alive(study):
    folder, planned = study
    run_id = next(iter(planned.configs))
    write(folder, run_id, "running", heartbeat=NOW - 1000, env_steps=1)
    overview = look(folder)
    assert overview.runs[run_id]["status"] == "lost"  # at first sight
    write(folder, run_id, "running", heartbeat=NOW - 990, env_steps=2)
    overview.look(NOW)
    assert overview.runs[run_id]["status"] == "running"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"schema_version": 1}', b'{"schema_version": 1, "status": "fine"}',
     b'{"schema_version": 1, "status": "complete", "env_steps": "all"}', b'{"schema_version": 2}'],
)  # fmt: skip
def test_damage_is_a_state_and_heals(study, content):
    folder, planned = study
    run_id = next(iter(planned.configs))
    write(folder, run_id, "complete")
    overview = look(folder)
    path = folder / "runs" / run_id / "status.json"
    path.write_bytes(content)
    overview.look(NOW)
    assert overview.runs[run_id]["status"] == "damaged"
    assert str(path) in overview.runs[run_id]["cause"]
    write(folder, run_id, "complete")
    overview.look(NOW)
    assert overview.runs[run_id]["status"] == "complete"


def test_status_that_is_no_file_is_damaged(study):
    folder, planned = study
    run_id = next(iter(planned.configs))
    (folder / "runs" / run_id / "status.json").mkdir(parents=True)
    assert look(folder).runs[run_id]["status"] == "damaged"


def test_looks_while_runs_write(study):
    """A record that writes as fast as it can is never seen as damaged or half written."""
    folder, planned = study
    run_id = next(iter(planned.configs))
    record, done = RunRecord(folder / "runs" / run_id, run_id), threading.Event()

    def beat():
        while not done.is_set():
            record.update(pad="x" * 20_000)

    writer = threading.Thread(target=beat)
    writer.start()
    try:
        overview = Overview(folder)
        changed = 0
        while changed < 40 and writer.is_alive():
            changed += overview.look()
            assert overview.runs[run_id]["status"] in ("planned", "running")
    finally:
        done.set()
        writer.join()
    assert changed >= 40


def test_time_left_from_the_runs_that_know(study):
    """Depth 4 took 100 s a run; a depth-8 run has a quarter behind it and 300 s to go, so 400 s a
    run: 300 + 400 + 400 s in one process."""
    folder, planned = study
    shallow, deep = planned.cells.values()
    for run_id in shallow:
        write(folder, run_id, "complete", started=NOW - 500, ended=NOW - 400)
    total = planned.configs[deep[0]].total_env_steps
    running = {"total_env_steps": total, "env_steps": total // 4, "seconds_left": 300.0}
    write(folder, deep[0], "running", **running)
    assert total % 4 == 0
    assert look(folder).seconds_left == pytest.approx(1100.0)
    write(folder, deep[1], "running", **running)
    assert look(folder).seconds_left == pytest.approx(1000.0 / 2)  # 300 + 300 + 400, two at once
    write(folder, deep[2], "failed")
    assert look(folder).seconds_left == pytest.approx(300.0)


def test_cells_without_a_pace_are_judged_by_their_flops(study):
    folder, planned = study
    shallow, deep = planned.cells.values()
    total = planned.configs[shallow[0]].total_env_steps
    running = {"total_env_steps": total, "env_steps": total // 2, "seconds_left": 50.0}
    for run_id in shallow:
        write(folder, run_id, "running", **running)
    from crlscale.cost import train_flops

    ratio = train_flops(planned.configs[deep[0]]) / train_flops(planned.configs[shallow[0]])
    assert look(folder).seconds_left == pytest.approx((3 * 50.0 + 3 * 100.0 * ratio) / 3)


def test_a_finished_run_whose_status_is_damaged_is_complete_and_told(study):
    folder, planned = study
    config = next(iter(planned.configs.values()))
    write_run(folder, planned, config, flat, "complete")
    path = folder / "runs" / config.run_id / "status.json"
    path.write_bytes(path.read_bytes()[:20])
    overview = look(folder)
    assert overview.runs[config.run_id]["status"] == "complete"
    assert overview.patched == [config.run_id]
    drawn = draw(overview)
    assert "1 with a damaged status.json" in drawn
    assert f"complete: {config.run_id}" in drawn
    assert "its measurements are whole" in " ".join(drawn.split())


def test_nobody_running_has_no_end(study):
    overview = look(study[0])
    assert overview.seconds_left is None and overview.share_done == 0
    assert "nothing is running" in draw(overview)


def test_every_state_has_a_letter_of_its_own():
    assert set(LETTERS) == set(STATES)
    assert len({letter for letter, _ in LETTERS.values()}) == len(STATES)


def test_states_read_without_colour(study):
    folder, planned = study
    shallow, deep = planned.cells.values()
    for run_id, word in zip(shallow, ("complete", "failed", "stopped"), strict=True):
        write(folder, run_id, word)
    write(folder, deep[0], "running", heartbeat=NOW - 100)
    text = draw(look(folder), no_color=True)
    assert re.search(r"^ +4 +CFS", text, re.M) and re.search(r"^ +8 +L\.\.", text, re.M)
    assert "no heartbeat since" in text


def test_failures_come_with_cause_attempts_job_and_log(study):
    folder, planned = study
    shallow, _ = planned.cells.values()
    write(
        folder,
        shallow[1],
        "failed",
        cause="killed by signal 9",
        attempts=3,
        launcher="slurm",
        job="17_4",
    )
    (folder / "runs" / shallow[1] / "log.txt").write_text("first\n\nsecond [bold]\nthird\n")
    overview = look(folder)
    assert log_tail(overview, shallow[1], 2) == ["second [bold]", "third"]
    text = draw(overview, 200)
    assert f"failed: {shallow[1]} (attempt 3, slurm 17_4)\n  killed by signal 9\n" in text
    assert "| second [bold]\n" in text and "| third\n" in text and "1 tried again" in text


def test_log_of_a_shared_program_is_found(results):
    from crlscale.study import Execution

    folder, planned = tiny_study(results, seeds=2, execution=Execution(seeds_per_program=2))
    first, second = planned.configs
    assert log_tail(look(folder), second, 3) == []
    (folder / "runs" / first).mkdir(parents=True)
    (folder / "runs" / first / "log.txt").write_text("out of memory\n")
    assert log_tail(look(folder), second, 3) == ["out of memory"]


def test_200_cells_fit_a_screen_unfinished_first(results):
    levels = [4 * index for index in range(1, 201)]
    folder, planned = tiny_study(results, axes={"depth": levels}, seeds=5)
    cells = list(planned.cells.values())
    for run_ids in cells[:150]:
        for run_id in run_ids:
            write(folder, run_id, "complete")
    write(folder, cells[120][2], "failed", cause="exit code 1")
    write(folder, cells[140][0], "running", env_steps=100)
    text = draw(look(folder), 80, 50)
    lines = text.splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if re.match(r" *\d+ +[CRFSLDX.]{5} ", line)]
    assert [row[:2] for row in rows[:2]] == [["484", "CCFCC"], ["564", "RCCCC"]]
    assert text.count("CCCCC") + text.count(".....") >= 190  # the others as tiles
    small = draw(look(folder), 80, 24).splitlines()
    assert len(small) <= 24 and any(re.match(r"and \d+ more cells: ", line) for line in small)


def test_many_seeds_are_counted(results):
    folder, planned = tiny_study(results, seeds=30)
    for run_id in list(planned.configs)[:12]:
        write(folder, run_id, "complete")
    assert re.search(r" 12C 18\. ", draw(look(folder)))


def test_old_status_files_are_read(study):
    """Without attempts, launcher, job and kind, as the first studies have them."""
    folder, planned = study
    run_id = next(iter(planned.configs))
    write(folder, run_id, "complete", host="h", pid=3, started=NOW - 9, ended=NOW)
    status = json.loads((folder / "runs" / run_id / "status.json").read_text())
    assert not {"attempts", "launcher", "job", "kind"} & status.keys()
    assert look(folder).counts == {"planned": 5, "complete": 1}
