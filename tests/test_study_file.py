"""Studies as TOML files: what they mean, and how what is wrong is told."""

from pathlib import Path

import pytest
from refusals import refusal

from crlscale.plan import plan_study
from crlscale.study import Execution
from crlscale.study_file import read_study_file


# --- study files ---------------------------------------------------------------------------
def write_toml(folder, text):
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_file_is_the_plan_that_it_says(tmp_path):
    path = write_toml(
        tmp_path,
        """
        name = "mine"
        question = "Why?"
        preset = "smoke"
        seeds = 4
        [axes]
        depth = [4, 8]
        width = [16, 32]
        [set]
        discount = 0.98
        [execution]
        seeds_per_program = 2
        """,
    )
    found = plan_study(**read_study_file(path))
    wanted = plan_study(
        {"depth": [4, 8], "width": [16, 32]},
        name="mine",
        question="Why?",
        preset="smoke",
        seeds=4,
        settings={"discount": 0.98},
        execution=Execution(seeds_per_program=2),
    )
    assert found.model_copy(update={"created": wanted.created}) == wanted


def test_file_may_leave_out_all_but_the_axes(tmp_path):
    path = write_toml(tmp_path, "[axes]\ndepth = [4, 8]")
    assert plan_study(**read_study_file(path)).name == plan_study({"depth": [4, 8]}).name


FULL = """
question = "Why?"
preset = "smoke"
seeds = 2
where = ["actor_depth <= critic_depth"]
[axes]
env = ["chain_4", "chain_5"]
discount = ["null", 0.9]
[[cells]]
actor_depth = 4
critic_depth = 16
[[cells]]
actor_depth = 16
critic_depth = 4
[[cells]]
actor_depth = 16
critic_depth = 16
[set]
env_steps = 1.6e3
hindsight_window = "null"
[[when]]
where = "env == 'chain_5'"
set = { env_steps = 3200 }
[equal]
what = "parameters"
solve = "width"
reference = { actor_depth = 4, critic_depth = 4, width = 32 }
[execution]
seeds_per_program = 2
runs_per_process = 4
[reduced]
seeds = 1
axes = { env = ["chain_5"] }
"""


def test_every_part_of_a_file(tmp_path):
    path = write_toml(tmp_path, FULL)
    wanted = plan_study(
        {"env": ["chain_4", "chain_5"], "discount": [None, 0.9]},
        cells=[
            {"actor_depth": 4, "critic_depth": 16},
            {"actor_depth": 16, "critic_depth": 4},
            {"actor_depth": 16, "critic_depth": 16},
        ],
        when=[{"where": "env == 'chain_5'", "set": {"env_steps": 3200}}],
        where=["actor_depth <= critic_depth"],
        equal={
            "what": "parameters",
            "solve": "width",
            "reference": {"actor_depth": 4, "critic_depth": 4, "width": 32},
        },
        settings={"env_steps": 1600, "hindsight_window": None},
        question="Why?",
        preset="smoke",
        seeds=2,
        execution=Execution(seeds_per_program=2, runs_per_process=4),
    )
    found = plan_study(**read_study_file(path))
    assert found.model_copy(update={"created": wanted.created}) == wanted
    assert len(found.configs) == 2 * 2 * 2 * 2
    assert {c.env_steps for c in found.configs.values()} == {1600, 3200}


def test_reduced_takes_the_place_of_whole_keys(tmp_path):
    path = write_toml(tmp_path, FULL)
    full, short = read_study_file(path), read_study_file(path, reduced=True)
    assert (short["seeds"], short["axes"]) == (1, {"env": ["chain_5"]})
    same = full.keys() - {"seeds", "axes"}
    assert {key: short[key] for key in same} == {key: full[key] for key in same}
    assert len(plan_study(**short).configs) == 2


def test_file_without_a_short_version_says_so(tmp_path):
    path = write_toml(tmp_path, "[axes]\ndepth = [4]")
    assert "has no [reduced] table" in refusal(read_study_file, path, True).message


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no [axes] table and no [[cells]]"),
        ("seeds = 3", "no [axes] table and no [[cells]]"),
        ("axes = []", "axes = [] is not a table"),
        ("[axes]", "no [axes] table and no [[cells]]"),
        ("axes = 3", "axes = 3 is not a table"),
        ("depth = [4]", "unknown key 'depth'"),
        ("seeds = true\n[axes]\ndepth = [4]", "seeds = True is not a whole number"),
        ("seeds = '3'\n[axes]\ndepth = [4]", "seeds = '3' is not a whole number"),
        ("preset = ['smoke']\n[axes]\ndepth = [4]", "is not a text"),
        ("name = 5\n[axes]\ndepth = [4]", "name = 5 is not a text"),
        ("question = 5\n[axes]\ndepth = [4]", "question = 5 is not a text"),
        ("set = 5\n[axes]\ndepth = [4]", "set = 5 is not a table"),
        ("execution = 5\n[axes]\ndepth = [4]", "execution = 5 is not a table"),
        ("[axes]\ndepth = [4]\n[execution]\nthreads = 0", "[execution] threads = 0"),
        ("[axes]\ndepth = [4]\n[execution]\nprocesses = 2", "[execution] processes = 2"),
        ("[axes]\nwidht = [4]", "unknown config key 'widht'"),
        ("[axes]\ndepth = [4]\n[set]\nwidht = 4", "near keys: width"),
        ("[axes]\ndepth = [4]\n[set]\nwidth = [4]", "[set] width = [4] is not one value"),
        ("where = 'depth > 4'\n[axes]\ndepth = [4]", "is not a list of texts"),
        ("where = ['depth >']\n[axes]\ndepth = [4]", "condition 'depth >' cannot be read"),
        ("where = [4]\n[axes]\ndepth = [4]", "condition 4 is not a text"),
        ("cells = [4]", "[[cells]] 4 is not a table"),
        ("[cells]\ndepth = 4", "is not a list of tables"),
        ("[[cells]]\ndpth = 4", "unknown config key 'dpth'"),
        ("[axes]\ndepth = [4]\n[[when]]\nset = {}", "is not a condition `where` and a table `set`"),
        (
            "[axes]\ndepth = [4]\n[[when]]\nwhere = 'depth > 4'\nset = 5",
            "[[when]] set 5 is not a table",
        ),
        ("[axes]\ndepth = [4]\n[equal]\nwhat = 'parameters'", "it needs reference, solve, what"),
        ("[axes]\ndepth = [4]\n[reduced]\nsedes = 3", "[reduced] unknown key 'sedes'"),
        ("[axes]\ndepth = [4]\n[reduced]\nseeds = '3'", "[reduced] seeds = '3' is not"),
        ("[axes]\ndepth = [4]\n[reduced]\nreduced = {}", "unknown key 'reduced'"),
        ("[axes\ndepth = [4]", "is not a readable TOML file"),
        ("[axes]\ndepth = [4]\n[axes]", "is not a readable TOML file"),
    ],
)
def test_file_that_is_no_plan_is_one_line(tmp_path, text, words):
    path = write_toml(tmp_path, text)
    error = refusal(read_study_file, path)
    assert words in error.message and str(path) in error.message


def test_file_that_is_not_there_lists_those_that_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there are: none in sweeps/" in refusal(read_study_file, Path("mine.toml")).message
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "yours.toml").write_text("")
    assert "there are: sweeps/yours.toml" in refusal(read_study_file, Path("mine.toml")).message


def test_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe")
    assert "not a readable TOML file" in refusal(read_study_file, tmp_path / "study.toml").message
    assert "not a readable TOML file" in refusal(read_study_file, tmp_path).message
