"""The columns: names, types and words, and that they are what the files hold."""

import re

import pytest

from crlscale.parquet import arrow_schema
from crlscale.schema import BLOCKS, GOAL_SETS, GOALS, METRICS

FILES = {"metrics": METRICS, "goals": GOALS, "blocks": BLOCKS}


@pytest.mark.parametrize("columns", FILES.values(), ids=FILES)
def test_names_are_unique_and_plain(columns):
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


@pytest.mark.parametrize("columns", FILES.values(), ids=FILES)
def test_types_are_those_the_store_can_check(columns):
    assert {column.dtype for column in columns} <= {"string", "int64", "float64", "bool"}
    assert [str(dtype) for dtype in arrow_schema(columns).types] == [
        {"float64": "double"}.get(column.dtype, column.dtype) for column in columns
    ]


@pytest.mark.parametrize("columns", FILES.values(), ids=FILES)
def test_each_column_says_its_unit_and_meaning(columns):
    for column in columns:
        assert column.unit and column.meaning, column.name
        if column.name.endswith("_seconds"):
            assert column.unit == "s"
        if column.name.endswith("_bytes"):
            assert column.unit == "bytes"


def test_each_goal_set_has_each_metric():
    names = {column.name for column in METRICS}
    for goals in GOAL_SETS:
        for metric in ("time_at_goal", "success_rate", "first_hit", "survival", "coverage"):
            assert f"{metric}_{goals}" in names


def test_rows_of_all_files_can_be_joined():
    keys = {"run_id", "evaluation", "env_steps"}
    assert all(keys <= {column.name for column in columns} for columns in FILES.values())
