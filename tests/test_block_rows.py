"""blocks.parquet: its rows, and which of them a resumed run keeps."""

import numpy as np

from crlscale import store
from crlscale.block_rows import BlockRows
from crlscale.blocks import Norms

FOOTER = {"run_id": "a", "status": "running"}


def norms(start, count):
    """Norms of `count` blocks, all numbers different."""
    values = start + np.arange(5 * count, dtype=np.float32).reshape(5, count)
    return Norms(*values)


def line(evaluation):
    more = {"seed": 0, "time_at_goal_all": 1.0}  # other columns of metrics.parquet
    return {
        "run_id": "a",
        "evaluation": evaluation,
        "env_steps": 10 * evaluation,
        "gradient_steps": evaluation,
    } | more


def read(folder):
    return [row for table in store.read_run_blocks(folder) for row in table.to_pylist()]


def written(folder, evaluations):
    rows = BlockRows([folder])
    for evaluation in range(evaluations):
        found = {"actor": norms(100 * evaluation, 2), "goal": norms(100 * evaluation + 50, 1)}
        rows.add(0, line(evaluation), found)
        rows.write(0, FOOTER)
    return rows


def test_a_row_for_each_block_of_each_network(tmp_path):
    written(tmp_path, 2)
    rows = read(tmp_path)
    places = [(row["evaluation"], row["network"], row["block"]) for row in rows]
    one = [("actor", 0), ("actor", 1), ("goal", 0)]
    assert places == [(evaluation, *place) for evaluation in (0, 1) for place in one]
    assert rows[4] == {
        **{"run_id": "a", "evaluation": 1, "env_steps": 10, "gradient_steps": 1, "network": "actor"},
        **{"block": 1, "stream_norm": 101.0, "branch_norm": 103.0, "gradient_norm": 105.0},
        **{"parameter_norm": 107.0, "update_ratio": 109.0},
    }
    assert store.read_metadata(tmp_path / "blocks.parquet")["run_id"] == "a"


def test_a_resumed_run_keeps_rows_up_to_its_checkpoint(tmp_path):
    written(tmp_path, 3)
    before = read(tmp_path)
    rows = BlockRows([tmp_path])
    rows.resume(0, 1)
    found = {"actor": norms(200, 2), "goal": norms(250, 1)}
    rows.add(0, line(2), found)
    rows.write(0, FOOTER)
    assert read(tmp_path) == before
    rows.resume(0, 0)
    rows.write(0, FOOTER)
    assert read(tmp_path) == before[:3]


def test_a_run_from_before_there_were_blocks_goes_on(tmp_path):
    rows = BlockRows([tmp_path])
    rows.resume(0, 1)
    assert read(tmp_path) == []
    rows.add(0, line(2), {"actor": norms(0, 1)})
    rows.write(0, FOOTER)
    assert [row["evaluation"] for row in read(tmp_path)] == [2]


def test_a_study_as_one_frame(tmp_path):
    """A run without the file has no rows; NaN stays a number that is none."""
    for name, value in (("a", 1.0), ("b", np.nan)):
        rows = BlockRows([tmp_path / "runs" / name])
        found = Norms(*np.full((5, 1), value, np.float32))
        rows.add(0, {**line(0), "run_id": name}, {"actor": found})
        rows.write(0, FOOTER)
    (tmp_path / "runs" / "c").mkdir()
    frame = store.read_blocks(tmp_path)
    assert frame["run_id"].tolist() == ["a", "b"]
    assert frame["gradient_norm"].isna().tolist() == [False, True]


def test_a_damaged_file_is_told_and_begun_anew(tmp_path, capsys):
    written(tmp_path, 2)
    (tmp_path / "blocks.parquet").write_bytes(b"half")
    rows = BlockRows([tmp_path])
    rows.resume(0, 1)
    assert "blocks.parquet" in capsys.readouterr().err
    rows.add(0, line(2), {"actor": norms(0, 1)})
    rows.write(0, FOOTER)
    assert [row["evaluation"] for row in read(tmp_path)] == [2]
