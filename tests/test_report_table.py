"""The result table of a study."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import saturating, write_study

from crlscale.cli.console import print_table
from crlscale.report.table import short_number, study_table
from crlscale.score import load_scores


def test_rows_and_records_agree(results):
    outcome = {(8, 0): "diverged", (8, 1): "failed", (16, 0): "planned", (16, 1): "planned"}
    folder = write_study(results, {"depth": [2, 8, 16]}, saturating, seeds=2, outcome=outcome)
    columns, rows, records = study_table(load_scores(folder))
    assert columns == ["depth", "params", "seeds", "of 50", "95 %", "upd/s", "hours", "note"]
    assert [row[2] for row in rows] == ["2/2", "1/2", "0/2"]
    assert [row[-1] for row in rows] == ["", "1 diverged, 1 failed", "2 planned"]
    assert rows[2][3:7] == ["-", "-", "-", "-"]
    first = records[0]
    assert rows[0][3] == f"{first['score']:.1f}"
    assert rows[0][4] == f"{first['low']:.1f}-{first['high']:.1f}"
    assert rows[0][6] == f"{first['hours']:.1g}"
    assert records[2]["score"] is None and records[2]["no_interval"] == "no finished run"


def test_the_widest_table_fits_80_columns(results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    axes = {"depth": [4, 1024], "width": [16, 512], "batch_size": [32, 2048]}
    outcome = {(1024, 512, 2048, 0): "diverged", (1024, 512, 2048, 1): "failed"}
    folder = write_study(results, axes, saturating, outcome=outcome)
    columns, rows, _ = study_table(load_scores(folder))
    print_table("study", columns, rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for row in rows:  # every cell of a row stands whole on one line, but for a long note
        assert any(all(text in line for text in row[:-1]) for line in lines)


@given(st.floats(1, 9e17))
def test_short_numbers_are_short_and_true(number):
    text = short_number(number)
    assert len(text) <= 5
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
    value = float(text.rstrip("kMGTP")) * factor.get(text[-1], 1)
    assert value == pytest.approx(number, rel=0.0051)


def test_short_numbers_by_hand():
    assert [short_number(n) for n in (950, 999.7, 12_345, 4_560_000)] == ["950", "1k", "12.3k", "4.56M"]
