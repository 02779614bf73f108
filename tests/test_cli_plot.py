"""`crlscale plot` on stored studies."""

import json
import re

import pytest
from reading_cli import run, run_json
from simulated import flat, saturating, stepping, write_study

from crlscale.cli.sweep_run import _draw
from crlscale.score import load_scores

DEPTHS = {"depth": [2, 4, 8, 16, 32]}


def test_critical_depth_prints_table_sentence_files_and_the_next_command(results, capsys):
    folder = write_study(results, DEPTHS, stepping)
    code, out, err = run(capsys, "plot", "critical-depth")
    assert code == 0
    assert "Critical depth 8 (95 % interval 8 only, bracketed)" in out
    for kind in ("png", "svg"):
        file = folder / "figures" / f"critical-depth.{kind}"
        assert str(file) in out and file.stat().st_size > 1000
    assert err == f"next: crlscale plot learning-curves {folder.name} --results {results}\n"


def test_newest_study_that_makes_a_curve_is_drawn(results, capsys):
    folder = write_study(results, DEPTHS, stepping)
    grid = {"agent": ["crl", "sac"], "depth": [4, 32]}
    write_study(results, grid, flat, name="z-newer")
    assert run_json(capsys, "plot", "critical-depth")["study"] == folder.name
    assert run_json(capsys, "plot", "learning-curves")["study"] == "z-newer"


def test_what_is_drawn_when_a_sweep_ends(results):
    """Methods at several depths side by side, not a critical depth of each."""
    for axes, stem in (
        (DEPTHS, "critical-depth"),
        ({"agent": ["crl", "sac"], "depth": [4, 8, 32]}, "methods"),
    ):
        folder = write_study(results, axes, flat)
        sentences, files = _draw(folder, load_scores(folder))
        assert len(sentences) == 1 and {file.stem for file in files} == {stem}


def test_every_line_but_paths_fits_80_columns(results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    outcome = {(8, 0): "diverged", (8, 1): "failed", (16, 0): "stopped"}
    write_study(results, DEPTHS, saturating, outcome=outcome)
    for verb in ("critical-depth", "learning-curves"):
        _, out, _ = run(capsys, "plot", verb)
        assert all(len(line) <= 80 for line in out.splitlines() if str(results) not in line)
        assert "\x1b" not in out


def test_critical_depth_as_json(results, capsys):
    folder = write_study(results, DEPTHS, stepping)
    data = run_json(capsys, "plot", "critical-depth")
    assert (data["schema"], data["study"]) == (1, folder.name)
    (row,) = data["rows"]
    assert (row["critical_depth"], row["low"], row["high"], row["bracketed"]) == (8, 8, 8, True)
    assert [cell["depth"] for cell in row["cells"]] == DEPTHS["depth"]
    assert row["interval_of_cells"]["simulated_coverage"]["3"]["normal"] == 0.95
    assert [file.rsplit(".")[-1] for file in data["files"]] == ["png", "svg"]


@pytest.mark.parametrize("rule", ["last", "zero", "drop"])
def test_a_rule_for_diverged_runs_moves_the_score_and_stands_on_the_figure(results, capsys, rule):
    said = {
        "last": "Diverged runs count with their last finite scores.",
        "zero": "Diverged runs count as no time at goal.",
        "drop": "Diverged runs are left out.",
    }
    folder = write_study(results, DEPTHS, stepping, outcome={(32, 0): "diverged"})
    others = [run["scores"] for run in run_json(capsys, "plot", "critical-depth")["rows"][0]["cells"]]
    data = run_json(capsys, "plot", "critical-depth", "--diverged", rule)
    first, *rest = data["rows"][0]["cells"][-1]["scores"]
    assert (data["diverged"], rest) == (rule, others[-1][1:])
    assert first == {"last": others[-1][0], "zero": 0.0, "drop": None}[rule]
    drawn = (folder / "figures" / "critical-depth.svg").read_text()
    assert said[rule] in " ".join(" ".join(re.findall(r"<!--(.*?)-->", drawn, re.DOTALL)).split())
    code, out, _ = run(capsys, "plot", "critical-depth", "--diverged", rule)
    assert code == 0 and f"\n1 diverged: {said[rule]}\n" in out
    _, out, _ = run(capsys, "plot", "learning-curves", "--diverged", rule)
    measured = "left out" if rule == "drop" else "drawn as far as they were measured"
    assert f"1 diverged: Diverged runs are {measured}." in out


def test_a_place_that_refuses_the_files_is_no_fault_of_results(results, capsys):
    write_study(results, DEPTHS, stepping, name="one")
    (results / "file").write_text("")
    out = str(results / "file" / "figures")
    for command in (("plot", "critical-depth"), ("report",)):
        code, _, err = run(capsys, *command, "--out", out)
        assert code == 2 and f"cannot write {out}" in err
        assert "try: --out FOLDER that you may write" in err
    code, _, err = run(capsys, "export", "one", "--out", f"{out}.csv")
    assert code == 2 and "try: --out FILE that you may write" in err


def test_no_rule_is_told_where_no_run_diverged(results, capsys):
    folder = write_study(results, DEPTHS, stepping)
    _, out, _ = run(capsys, "plot", "critical-depth", "--diverged", "drop")
    assert "iverged" not in out + (folder / "figures" / "critical-depth.svg").read_text()
    code, _, err = run(capsys, "plot", "critical-depth", "--diverged", "hide")
    assert code == 2 and "try: --diverged last" in err


def test_the_same_command_gives_the_same_bytes(results, capsys):
    folder = write_study(results, DEPTHS, saturating)
    figure = folder / "figures" / "critical-depth.svg"
    first = run(capsys, "plot", "critical-depth"), figure.read_bytes()
    assert (run(capsys, "plot", "critical-depth"), figure.read_bytes()) == first


def test_a_named_study_wins_over_the_newest(results, capsys):
    write_study(results, DEPTHS, flat, name="first")
    write_study(results, DEPTHS, stepping, name="second")
    assert run_json(capsys, "plot", "critical-depth", "first")["study"] == "first"


def test_width_studies_are_passed_over_for_the_newest_depth_study(results, capsys):
    write_study(results, DEPTHS, flat, name="depths")
    write_study(results, {"width": [16, 32]}, flat, name="widths")
    assert run_json(capsys, "plot", "critical-depth")["study"] == "depths"


def test_a_grid_gives_a_figure_for_each_level_of_the_other_axis(results, capsys, tmp_path):
    write_study(results, {**DEPTHS, "width": [16, 32]}, stepping)
    data = run_json(capsys, "plot", "critical-depth", "--out", str(tmp_path / "out"))
    assert [row["fixed"] for row in data["rows"]] == [{"width": 16}, {"width": 32}]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    stems = ["critical-depth-width-16", "critical-depth-width-32"]
    assert names == [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]


def test_one_seed_is_plotted_and_untested(results, capsys):
    write_study(results, DEPTHS, stepping, seeds=1)
    code, out, _ = run(capsys, "plot", "critical-depth")
    assert code == 0
    assert "was not tested: one seed" in " ".join(out.split())


def test_learning_curves(results, capsys):
    folder = write_study(results, {"width": [16, 32]}, saturating, seeds=2)
    data = run_json(capsys, "plot", "learning-curves")
    assert [row["width"] for row in data["rows"]] == [16, 32]
    for row in data["rows"]:
        assert len(row["env_steps"]) == len(row["iqm"]) == len(row["low"]) == 3
        assert len(row["seeds"]) == 2
    code, out, err = run(capsys, "plot", "learning-curves", folder.name)
    assert code == 0
    assert str(folder / "figures" / "learning-curves.png") in out
    assert err.startswith("next: crlscale compare width-vs-depth")


# --- mistakes ------------------------------------------------------------------------------
def refused(capsys, *arguments):
    """The one line on stderr of a command that must be refused."""
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ") and "; try: " in err
    return err


@pytest.mark.parametrize("verb", ["critical-depth", "learning-curves"])
def test_an_empty_results_folder_says_what_to_type(results, capsys, verb):
    assert "does not hold a study" in refused(capsys, "plot", verb)


def test_an_unknown_study_lists_those_there_are(results, capsys):
    write_study(results, DEPTHS, flat, name="mine")
    line = refused(capsys, "plot", "critical-depth", "yours")
    assert "no study 'yours'" in line and "mine" in line


@pytest.mark.parametrize("status", ["planned", "failed"])
@pytest.mark.parametrize("verb", ["critical-depth", "learning-curves"])
def test_a_study_without_a_finished_run_is_refused(results, capsys, verb, status):
    outcome = {(depth, seed): status for depth in DEPTHS["depth"] for seed in range(3)}
    folder = write_study(results, DEPTHS, flat, name="early", outcome=outcome)
    line = refused(capsys, "plot", verb)
    assert f"has no finished run (15 {status}); try: crlscale status early" in line
    assert not (folder / "figures").exists()


def test_a_named_study_without_depth_is_refused(results, capsys):
    write_study(results, {"width": [16, 32]}, flat, name="widths")
    line = refused(capsys, "plot", "critical-depth", "widths")
    assert "has no depth axis" in line and "learning-curves" in line


def test_errors_as_json(results, capsys):
    code, out, err = run(capsys, "plot", "critical-depth", "nothing", "--json")
    error = json.loads(err)
    assert (code, out, set(error)) == (2, "", {"error", "value", "try"})
    assert error["value"] == "nothing"


@pytest.mark.parametrize(
    "arguments", [["plot"], ["plot", "critical-depth"], ["plot", "learning-curves"]]
)
def test_help_has_an_example(capsys, arguments):
    code, out, _ = run(capsys, *arguments, "--help")
    assert code == 0
    assert "Example: crlscale plot" in out
