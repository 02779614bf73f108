"""The results folder: what is written is read back exactly, and nothing half-written is ever seen."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crlscale import parquet, store
from crlscale.errors import CrlscaleError
from crlscale.gather import gather
from crlscale.plan import plan_study
from crlscale.schema import GOALS, METRICS, SCHEMA_VERSION
from crlscale.study import register_study

META = {"run_id": "r", "study": "s", "config": {"depth": 4}, "status": "complete"}
VALUES = {
    "string": st.text(max_size=8),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "bool": st.booleans(),
}


def rows_of(columns):
    row = st.fixed_dictionaries({}, optional={c.name: st.none() | VALUES[c.dtype] for c in columns})
    return st.lists(row, max_size=4)


def same(a, b):
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or (a == b and type(a) is type(b))


def metrics_row(run_id, evaluation, **more):
    return {"run_id": run_id, "evaluation": evaluation, "env_steps": 100 * evaluation, **more}


def write_run(study, run_id, evaluations=2, **more):
    folder = study / "runs" / run_id
    store.write_metrics(folder, [metrics_row(run_id, e, **more) for e in range(evaluations)], META)
    return folder / "metrics.parquet"


def snapshot(folder):
    """Path -> (content, time of change) of everything below `folder` but the cache."""
    files = [p for p in folder.rglob("*") if p.is_file() and ".cache" not in p.parts]
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "depth-study"
    folder.mkdir()
    return folder


@pytest.fixture
def read_only(study):
    """Function that makes the study's folder refuse every write, root's too."""

    def lock():
        if os.geteuid() != 0:
            for folder in [study, *filter(Path.is_dir, study.rglob("*"))]:
                folder.chmod(0o555)
            return
        for command in (["mount", "--bind", study, study], ["mount", "-o", "remount,ro,bind", study]):
            if subprocess.run(command, capture_output=True).returncode != 0:
                pytest.skip("root needs the right to mount a folder read-only")

    yield lock
    if os.geteuid() == 0:
        subprocess.run(["umount", study], capture_output=True)
    else:
        for folder in [study, *filter(Path.is_dir, study.rglob("*"))]:
            folder.chmod(0o755)


# --- rows ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("columns", "write", "read"),
    [
        (METRICS, store.write_metrics, store.read_run_metrics),
        (GOALS, store.write_goals, store.read_run_goals),
    ],
    ids=["metrics", "goals"],
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_rows_come_back_as_they_were(tmp_path_factory, columns, write, read, data):
    rows = data.draw(rows_of(columns))
    folder = tmp_path_factory.mktemp("run")
    write(folder, rows, META)
    found = read(folder)
    assert len(found) == len(rows)
    for row, again in zip(rows, found, strict=True):
        assert list(again) == [column.name for column in columns]
        for name, value in again.items():
            assert same(value, row.get(name)), name


def test_null_and_nan_stay_apart(tmp_path):
    store.write_metrics(tmp_path, [{"critic_loss": math.nan}, {"critic_loss": None}, {}], META)
    losses = [row["critic_loss"] for row in store.read_run_metrics(tmp_path)]
    assert math.isnan(losses[0])
    assert losses[1:] == [None, None]


def test_scalars_of_numpy_are_taken(tmp_path):
    import numpy as np

    row = {"seed": np.int32(3), "critic_loss": np.float32(0.5), "resumed": np.bool_(True)}
    store.write_metrics(tmp_path, [row], META)
    (found,) = store.read_run_metrics(tmp_path)
    assert (found["seed"], found["critic_loss"], found["resumed"]) == (3, 0.5, True)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("seed", 1.5),
        ("seed", 1.0),
        ("seed", True),
        ("seed", "1"),
        ("critic_loss", "0.5"),
        ("critic_loss", True),
        ("resumed", 1),
        ("run_id", 7),
    ],
)
def test_value_of_another_type_is_refused(tmp_path, column, value):
    write_run(tmp_path, "r")
    before = snapshot(tmp_path)
    with pytest.raises(TypeError, match=column):
        store.write_metrics(tmp_path / "runs" / "r", [{column: value}], META)
    assert snapshot(tmp_path) == before


def test_unknown_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="time_at_gaol"):
        store.write_metrics(tmp_path, [{"time_at_gaol": 1.0}], META)
    assert list(tmp_path.iterdir()) == []


def test_run_without_a_file_has_no_rows(tmp_path):
    assert store.read_run_metrics(tmp_path) == []
    assert store.read_run_goals(tmp_path) == []


def test_footer_holds_the_meta(tmp_path):
    store.write_metrics(tmp_path, [], {**META, "time_at_goal": math.nan})
    found = store.read_metadata(tmp_path / "metrics.parquet")
    assert found == {**META, "time_at_goal": None, "schema_version": SCHEMA_VERSION}


# --- JSON ----------------------------------------------------------------------------------
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text(), json_values, max_size=4))
def test_json_comes_back_as_it_was(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("json") / "deep" / "status.json"
    store.write_json(path, data)
    assert store.read_json(path) == data
    assert [p.name for p in path.parent.iterdir()] == ["status.json"]


def test_json_has_no_nan(tmp_path):
    store.write_json(tmp_path / "a.json", {"a": math.nan, "b": [math.inf, (1.0, -math.inf)]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": [None, [1.0, None]]}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_one_line(tmp_path, content):
    path = tmp_path / "status.json"
    path.write_bytes(content)
    with pytest.raises(CrlscaleError) as error:
        store.read_json(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content


def test_missing_json_is_one_line(tmp_path):
    with pytest.raises(CrlscaleError, match=r"study\.json does not exist; try: "):
        store.read_json(tmp_path / "study.json")


def test_data_that_is_no_json_changes_nothing(tmp_path):
    store.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        store.write_json(tmp_path / "a.json", {"a": object()})
    assert store.read_json(tmp_path / "a.json") == {"a": 1}


# --- writing that fails ----------------------------------------------------------------------
def test_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(CrlscaleError, match=r"cannot write .*; try: --results FOLDER"):
        store.write_json(tmp_path / "results" / "study.json", {})


def test_read_only_folder_is_one_line(study, read_only):
    write_run(study, "r")
    before = snapshot(study)
    read_only()
    with pytest.raises(CrlscaleError, match=r"cannot write .*; try: --results FOLDER"):
        write_run(study, "r", evaluations=3)
    assert snapshot(study) == before


def test_full_disk_keeps_what_is_there(full_disk):
    path = write_run(full_disk, "r")
    before = snapshot(full_disk)
    noise = random.Random(0)
    rows = [metrics_row("r", e, critic_loss=noise.random()) for e in range(40_000)]
    with pytest.raises(CrlscaleError, match="No space left on device; try: make room"):
        store.write_metrics(path.parent, rows, META)
    with pytest.raises(CrlscaleError, match="No space left on device; try: make room"):
        store.write_json(full_disk / "status.json", {"cause": "x" * 300_000})
    assert snapshot(full_disk) == before


def test_debris_of_killed_writers_goes_after_an_hour(tmp_path):
    old, new = tmp_path / ".status.json.aaaa.tmp", tmp_path / ".status.json.bbbb.tmp"
    for part in (old, new):
        part.write_text("{")
    os.utime(old, (time.time() - 7200,) * 2)
    store.write_json(tmp_path / "status.json", {})
    assert not old.exists()
    assert new.exists()


KILLS = 24
WRITERS = textwrap.dedent("""
    import os, sys
    import pandas, pyarrow.parquet  # once, before the forks
    from crlscale import store

    def write_on_and_on(folder):
        rows = []
        while True:
            e = len(rows)
            rows.append({"run_id": "r", "evaluation": e, "env_steps": 100 * e, "critic_loss": e / 7})
            store.write_metrics(folder, rows, {"evaluations": len(rows)})
            store.write_json(folder + "/status.json", {"evaluations": len(rows), "pad": "x" * 5000})
            print(os.getpid(), len(rows), flush=True)

    for kill in range(int(sys.argv[2])):
        writer = os.fork()
        if writer == 0:
            write_on_and_on(f"{sys.argv[1]}/run-{kill}")
        print("dead", os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]), flush=True)
""")


def test_kill_at_any_moment_loses_no_finished_evaluation(tmp_path):
    """SIGKILL at random moments to processes that each write a run, over and over."""
    moments = random.Random(1)
    command = [sys.executable, "-c", WRITERS, str(tmp_path), str(KILLS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writers:
        for kill in range(KILLS):
            for _ in range(moments.randint(1, 12)):
                pid, said = map(int, writers.stdout.readline().split())
            time.sleep(moments.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
            while (line := writers.stdout.readline().split())[0] != "dead":
                said = int(line[1])
            assert int(line[1]) == -signal.SIGKILL
            check_what_is_left(tmp_path / f"run-{kill}", said)
    assert writers.returncode == 0


def check_what_is_left(folder, said):
    rows = store.read_run_metrics(folder)
    assert len(rows) in (said, said + 1)
    assert [row["evaluation"] for row in rows] == list(range(len(rows)))
    assert [row["critic_loss"] for row in rows] == [e / 7 for e in range(len(rows))]
    assert store.read_metadata(folder / "metrics.parquet")["evaluations"] == len(rows)
    assert store.read_json(folder / "status.json")["evaluations"] in (len(rows) - 1, len(rows))


# --- a study as a frame ------------------------------------------------------------------------
def test_frame_of_a_study(study):
    write_run(study, "b", evaluations=3, critic_loss=0.5, seed=1)
    write_run(study, "a", evaluations=1, seed=2)
    (study / "runs" / "c").mkdir()
    (study / "runs" / "stray.txt").write_text("")
    for _ in range(2):  # read, then from the cache
        frame = store.read_metrics(study)
        assert list(frame.columns) == [column.name for column in METRICS]
        assert frame["run_id"].tolist() == ["a", "b", "b", "b"]
        assert frame["evaluation"].tolist() == [0, 0, 1, 2]
        assert frame["evaluation"].dtype == "int64"
        assert frame["critic_loss"].isna().tolist() == [True, False, False, False]
        assert frame["critic_loss"].dtype == "float64"
        assert frame["first_nonfinite_update"].dtype == "Int64"
        assert frame["first_nonfinite_update"].isna().all()


def test_study_without_files_has_all_columns(study):
    assert list(store.read_metrics(study).columns) == [column.name for column in METRICS]
    assert list(store.read_goals(study).columns) == [column.name for column in GOALS]
    assert len(store.read_metrics(study)) == 0


def test_goals_and_metrics_do_not_mix(study):
    write_run(study, "a")
    store.write_goals(study / "runs" / "a", [{"run_id": "a", "goal_cell": 3, "far": True}], META)
    assert len(store.read_metrics(study)) == 2
    goals = store.read_goals(study)
    assert goals[["goal_cell", "far"]].values.tolist() == [[3, True]]


def test_study_that_is_not_there(tmp_path):
    with pytest.raises(CrlscaleError, match=r"no study folder .*gone; try: "):
        store.read_metrics(tmp_path / "gone")


def foreign_columns(path, columns, footer=None):
    """Write `path` with columns of its own: an older or newer crlscale's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet.table_to_bytes(pa.table(columns), footer or META))


def test_older_and_newer_columns_stand_side_by_side(study):
    write_run(study, "b", critic_loss=0.5)
    foreign_columns(study / "runs" / "a" / "metrics.parquet", {"run_id": ["a"], "env_steps": [7]})
    newer = {"run_id": ["c"], "env_steps": [9], "effective_rank": [3.5], "dead_units": [4]}
    foreign_columns(study / "runs" / "c" / "metrics.parquet", newer)
    for _ in range(2):
        frame = store.read_metrics(study)
        expected = [column.name for column in METRICS] + ["effective_rank", "dead_units"]
        assert list(frame.columns) == expected
        assert frame["run_id"].tolist() == ["a", "b", "b", "c"]
        assert frame["effective_rank"].isna().tolist() == [True, True, True, False]
        assert frame["dead_units"].tolist()[-1] == 4
        assert frame["dead_units"].dtype == "Int64"
        assert frame["evaluation"].isna().tolist() == [True, False, False, True]


def refuse_study(study, words):
    before = snapshot(study)
    with pytest.raises(CrlscaleError) as error:
        store.read_metrics(study)
    assert snapshot(study) == before
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 0.9999])
def test_file_cut_short_is_left_out_of_a_study_and_names_itself_and_the_way_out(study, share):
    write_run(study, "a")
    path = write_run(study, "b", evaluations=30)
    whole = store.read_metrics(study)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    for _ in range(2):  # read, then from the cache
        assert store.read_metrics(study).equals(whole[whole["run_id"] == "a"])
    with pytest.raises(CrlscaleError) as error:
        store.read_run_metrics(path.parent)
    assert "\n" not in str(error.value)
    for word in (str(path), "cut short", f"crlscale runs redo depth-study b --results {study.parent}"):
        assert word in str(error.value)
    path.write_bytes(content)
    assert store.read_metrics(study).equals(whole)


def test_flipped_bits_are_noticed(study):
    """A damaged byte among the data is an error that names the file, or changes no value."""
    path = write_run(study, "a", evaluations=30, critic_loss=0.125)
    content = path.read_bytes()
    whole = store.read_run_metrics(path.parent)
    noticed = 0
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # where the footer begins
    for at in range(4, end, end // 60):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        try:
            assert store.read_run_metrics(path.parent) == whole
        except CrlscaleError as error:
            assert str(path) in str(error)
            noticed += 1
    assert noticed > 20


def test_newer_schema_is_refused(study, monkeypatch):
    write_run(study, "a")
    with monkeypatch.context() as later:
        later.setattr(parquet, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        path = write_run(study, "b")
    refuse_study(study, [str(path), f"has schema {SCHEMA_VERSION + 1}", "a newer crlscale"])


def test_file_of_another_program_is_left_out(study):
    import pyarrow.parquet as pq

    write_run(study, "b")
    path = study / "runs" / "a" / "metrics.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"run_id": ["a"]}), path)
    assert store.read_metrics(study)["run_id"].tolist() == ["b", "b"]
    with pytest.raises(CrlscaleError, match="not written by crlscale"):
        store.read_run_metrics(path.parent)


# --- the cache ---------------------------------------------------------------------------------
def cache_of(study):
    return study / ".cache" / "metrics.parquet"


def test_cache_is_used_and_kept(study):
    write_run(study, "a")
    first = store.read_metrics(study)
    written = cache_of(study).stat().st_mtime_ns
    assert store.read_metrics(study).equals(first)
    assert cache_of(study).stat().st_mtime_ns == written


def test_cache_is_what_is_read_the_second_time(study):
    """The only proof that it saves work: content that only the cache has is what comes back."""
    write_run(study, "a", critic_loss=1.0)
    store.read_metrics(study)
    table, footer = parquet.read_table(cache_of(study))
    at = table.schema.get_field_index("critic_loss")
    forged = table.set_column(at, "critic_loss", pa.array([2.0, 2.0]))
    cache_of(study).write_bytes(parquet.table_to_bytes(forged, footer))
    assert store.read_metrics(study)["critic_loss"].tolist() == [2.0, 2.0]


def test_stale_cache_follows_the_files(study):
    for run in "abc":
        write_run(study, run, critic_loss=1.0)
    store.read_metrics(study)
    write_run(study, "b", critic_loss=2.0)
    assert store.read_metrics(study)["critic_loss"].tolist() == [1.0, 1.0, 2.0, 2.0, 1.0, 1.0]
    write_run(study, "aa", evaluations=1, critic_loss=3.0)
    assert store.read_metrics(study)["run_id"].tolist() == ["a", "a", "aa", "b", "b", "c", "c"]
    (study / "runs" / "a" / "metrics.parquet").unlink()
    assert store.read_metrics(study)["run_id"].tolist() == ["aa", "b", "b", "c", "c"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers(0, 9)), max_size=8)
)
def test_cache_never_tells_from_the_files(tmp_path_factory, steps):
    """Whatever is written or removed in between: with the cache as without it."""
    study = tmp_path_factory.mktemp("study")
    for run, evaluations, value in steps:
        if value == 0:
            (study / "runs" / run / "metrics.parquet").unlink(missing_ok=True)
        else:
            write_run(study, run, evaluations, critic_loss=float(value))
        cached = store.read_metrics(study)
        cache_of(study).rename(study / "aside")
        assert cached.equals(store.read_metrics(study))
        (study / "aside").replace(cache_of(study))


@pytest.mark.parametrize("damage", ["deleted", "empty", "cut", "foreign", "folder", "flipped"])
def test_damaged_cache_is_as_good_as_none(study, damage):
    for run in "ab":
        write_run(study, run, evaluations=20, critic_loss=0.5)
    whole = store.read_metrics(study)
    cache = cache_of(study)
    content = cache.read_bytes()
    cache.unlink()
    if damage == "empty":
        cache.write_bytes(b"")
    if damage == "cut":
        cache.write_bytes(content[:-100])
    if damage == "foreign":
        foreign_columns(cache, {"run_id": ["x"]})
    if damage == "folder":
        cache.mkdir()
    if damage == "flipped":
        middle = content.index(b"\x00\x00\xe0?") + 2  # inside the 0.5 of a page
        cache.write_bytes(content[:middle] + b"\xf0" + content[middle + 1 :])
    assert store.read_metrics(study).equals(whole)
    assert store.read_metrics(study).equals(whole)


def test_cache_of_a_version_with_fewer_columns_is_as_good_as_none(study):
    """Its files lacked them, too, and are older than the columns that were added since."""
    path = write_run(study, "a")
    table, footer = parquet.read_table(path)
    old = METRICS[:-3]
    table = table.select([column.name for column in old])
    path.write_bytes(parquet.table_to_bytes(table, footer))
    assert gather(study, "metrics.parquet", old).column_names == table.column_names
    frame = store.read_metrics(study)
    assert list(frame.columns) == [column.name for column in METRICS]
    assert frame[METRICS[-1].name].isna().all() and len(frame) == len(table)


def test_read_only_study_is_read_without_a_cache(study, read_only):
    write_run(study, "a")
    read_only()
    assert len(store.read_metrics(study)) == 2
    assert len(store.read_metrics(study)) == 2
    assert not cache_of(study).exists()


def test_read_only_study_with_a_stale_cache(study, read_only):
    write_run(study, "a", critic_loss=1.0)
    store.read_metrics(study)
    write_run(study, "a", critic_loss=2.0)
    read_only()
    assert store.read_metrics(study)["critic_loss"].tolist() == [2.0, 2.0]


# --- the runs of a plan --------------------------------------------------------------------------
@pytest.fixture
def planned(tmp_path):
    """(folder, study) of four planned runs."""
    return register_study(tmp_path, plan_study({"depth": [4, 8]}, seeds=2, preset="smoke", name="plan"))


def write_status(folder, run_id, **status):
    store.write_json(folder / "runs" / run_id / "status.json", {"schema_version": 1, **status})


def test_each_planned_run_has_a_row(planned):
    folder, study = planned
    runs = store.read_runs(folder)
    assert runs["run_id"].tolist() == list(study.configs)
    assert runs["depth"].tolist() == [4, 4, 8, 8]
    assert runs["seed"].tolist() == [0, 1, 0, 1]
    assert runs["status"].tolist() == ["planned"] * 4
    assert set(next(iter(study.configs.values())).model_dump()) < set(runs.columns)
    reported = [field for field in store.STATUS_FIELDS if field != "status"]
    assert runs[reported].isna().all(axis=None)


def test_status_is_as_reported(planned):
    folder, study = planned
    first, second, third, _ = study.configs
    now = time.time()
    write_status(folder, first, status="complete", env_steps=1000, time_at_goal=3.5, host="h", pid=7)
    write_status(folder, second, status="running", heartbeat=now - 5, updates_per_second=9)
    write_status(folder, third, status="running", heartbeat=now - 61, started=now - 100, cause=None)
    runs = store.read_runs(folder).set_index("run_id")
    assert runs["status"].tolist() == ["complete", "running", "lost", "planned"]
    assert runs.loc[first, ["env_steps", "time_at_goal", "host", "pid"]].tolist() == [1000, 3.5, "h", 7]
    assert runs.loc[second, "updates_per_second"] == 9.0
    assert runs["env_steps"].dtype == "Int64"
    assert runs["time_at_goal"].dtype == "float64"


def test_heartbeat_of_the_future_is_none(planned):
    """The clock was set back since: a dead run must not seem to run until the old time has come."""
    folder, study = planned
    first = next(iter(study.configs))
    for ahead, word in ((30, "running"), (3600, "lost")):
        write_status(folder, first, status="running", heartbeat=time.time() + ahead)
        assert store.read_runs(folder)["status"].tolist()[0] == word


def test_running_run_without_a_heartbeat_is_lost(planned):
    folder, study = planned
    first = next(iter(study.configs))
    write_status(folder, first, status="running")
    assert store.read_runs(folder)["status"].tolist()[0] == "lost"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (b'{"status": ', "damaged"),
        (b'{"schema_version": 1, "status": "running", "env_steps": "many"}', "env_steps = 'many'"),
        (b'{"status": "complete"}', "no schema version"),
        (b'{"schema_version": 1}', "no status"),
    ],
)
def test_damaged_status_is_a_damaged_run_beside_the_others(planned, status, words):
    folder, study = planned
    first, second, *_ = study.configs
    write_status(folder, second, status="complete")
    path = folder / "runs" / first / "status.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(status)
    runs = store.read_runs(folder).set_index("run_id")
    assert runs["status"].tolist() == ["damaged", "complete", "planned", "planned"]
    cause = runs.loc[first, "cause"]
    assert (
        words in cause
        and str(path) in cause
        and f"crlscale runs redo {study.name} {first} --results {folder.parent}" in cause
    )


def test_damaged_status_of_a_finished_run_is_told_by_its_measurements(planned):
    folder, study = planned
    first = next(iter(study.configs))
    store.write_metrics(folder / "runs" / first, [metrics_row(first, 0)], META)
    (folder / "runs" / first / "status.json").write_bytes(b"{")
    runs = store.read_runs(folder)
    assert runs["status"].tolist()[0] == META["status"] == "complete"
    assert "status.json is damaged" in runs["cause"][0] and "are whole" in runs["cause"][0]


def test_status_of_a_newer_crlscale_is_refused(planned):
    folder, study = planned
    write_status(folder, next(iter(study.configs)), status="complete", schema_version=99)
    with pytest.raises(CrlscaleError, match="has schema 99"):
        store.read_runs(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9999])
def test_finished_run_with_measurements_cut_short_is_damaged(planned, share):
    folder, study = planned
    first = next(iter(study.configs))
    path = folder / "runs" / first / "metrics.parquet"
    store.write_metrics(path.parent, [metrics_row(first, 0)], META)
    for word, seen in (("complete", "damaged"), ("diverged", "damaged"), ("stopped", "stopped")):
        write_status(folder, first, status=word)
        assert store.read_runs(folder)["status"].tolist()[0] == word
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        runs = store.read_runs(folder)
        assert runs["status"].tolist()[0] == seen
        if seen == "damaged":
            assert str(path) in runs["cause"][0] and "crlscale runs redo" in runs["cause"][0]
        path.write_bytes(content)


# --- size --------------------------------------------------------------------------------------
@pytest.mark.slow
def test_thousand_runs_of_a_hundred_evaluations(study):
    noise = random.Random(0)
    total = 0.0
    for run in range(1000):
        losses = [noise.random() for _ in range(100)]
        rows = [metrics_row(f"r{run:04}", e, seed=run, critic_loss=x) for e, x in enumerate(losses)]
        store.write_metrics(study / "runs" / f"r{run:04}", rows, META)
        total += math.fsum(losses)
    for _ in range(2):
        frame = store.read_metrics(study)
        assert len(frame) == 100_000
        assert frame["critic_loss"].sum() == pytest.approx(total, rel=1e-12)
        assert (frame.groupby("run_id")["evaluation"].max() == 99).all()
        assert frame["seed"].is_monotonic_increasing
    assert Path(study / ".cache" / "metrics.parquet").exists()
