"""`crlscale compare width-vs-depth` on stored studies."""

import pytest
from reading_cli import run, run_json
from simulated import flat, saturating, write_study

DEPTHS = {"depth": [2, 4, 8, 16]}
WIDTHS = {"width": [16, 32, 64]}
VERB = ("compare", "width-vs-depth")


@pytest.fixture
def both(results):
    """A depth and a width study named depths and widths."""
    write_study(results, DEPTHS, saturating, name="depths")
    write_study(results, WIDTHS, saturating, name="widths")
    return results


def test_newest_studies_by_default_tables_sentence_and_picture(both, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, *VERB)
    assert code == 0
    words = " ".join(out.split())
    for cost in ("equal parameters", "equal training FLOPs", "equal hours"):
        assert cost in words
    assert all(len(line) <= 80 for line in out.splitlines() if str(both) not in line)
    for kind in ("png", "svg"):
        file = both / "depths" / "figures" / f"width-vs-depth.{kind}"
        assert str(file) in out and file.stat().st_size > 1000
    assert err == f"next: crlscale plot critical-depth depths --results {both}\n"


def test_without_names_grids_are_left_to_those_who_name_them(both, capsys):
    write_study(both, {"agent": ["crl", "sac"], "depth": [2, 4]}, flat, name="newer")
    data = run_json(capsys, *VERB)
    assert {row["study"] for row in data["rows"]} == {"depths", "widths"}


def test_json_has_rows_comparisons_and_the_sentence(both, capsys):
    data = run_json(capsys, *VERB)
    assert data["schema"] == 1
    assert [row["family"] for row in data["rows"]] == ["depth"] * 4 + ["width"] * 3
    assert [c["cost"] for c in data["comparisons"]] == ["parameters", "training_flops", "hours"]
    for comparison in data["comparisons"]:
        low, high = comparison["overlap"]
        assert 0 < low < high
        assert comparison["low"] < comparison["depth_minus_width"] < comparison["high"]
        assert 0 < comparison["confidence_depth"] < 1
    assert data["sentence"].startswith("At equal parameters")
    (cpu,) = data["further"]
    assert (cpu["cost"], cpu["low"] < cpu["depth_minus_width"] < cpu["high"]) == ("cpu_hours", True)
    assert {front["cost"] for front in data["fronts"]} == {
        "parameters", "training_flops", "hours", "cpu_hours"
    }  # fmt: skip
    gains = data["exchange"]
    assert gains["rate"]["value"] == pytest.approx(gains["depth"]["value"] / gains["width"]["value"])
    assert "doubling of depth" in data["sentence"]


def test_order_of_the_studies_does_not_matter(both, capsys):
    one = run_json(capsys, *VERB, "depths", "widths")
    other = run_json(capsys, *VERB, "widths", "depths")
    assert one == other


def test_a_grid_is_enough(results, capsys, tmp_path):
    write_study(results, {"depth": [4, 16], "width": [16, 64]}, saturating, name="grid")
    named = run_json(capsys, *VERB, "grid", "--out", str(tmp_path / "out"))
    newest = run_json(capsys, *VERB, "--out", str(tmp_path / "out"))
    assert named == newest
    assert {row["study"] for row in named["rows"]} == {"grid"}
    assert len(list((tmp_path / "out").iterdir())) == 2


# --- mistakes ------------------------------------------------------------------------------
def refused(capsys, *studies):
    code, out, err = run(capsys, *VERB, *studies)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_one_study_is_not_enough(both, capsys):
    assert "no width axis: name a width study" in refused(capsys, "depths")
    assert "no depth axis: name a depth study" in refused(capsys, "widths")


def test_two_depth_studies_are_refused(both, capsys):
    write_study(both, {"depth": [4, 8]}, flat, name="more")
    assert "has no width axis" in refused(capsys, "depths", "more")


def test_three_studies_are_refused(both, capsys):
    assert "3 studies named" in refused(capsys, "depths", "widths", "depths")


def test_another_protocol_is_refused_by_its_field(results, capsys):
    write_study(results, DEPTHS, flat, name="depths")
    write_study(results, WIDTHS, flat, name="widths", settings={"batch_size": 64})
    line = refused(capsys)
    assert "batch_size is 32 in one and 64 in the other" in line
    assert "crlscale sweep width --set batch_size=32" in line
    assert not (results / "depths" / "figures").exists()


def test_an_empty_results_folder_says_what_to_type(results, capsys):
    assert "does not hold a study with axis 'depth'; try: crlscale sweep depth" in refused(capsys)


def test_help_has_an_example(capsys):
    for arguments in (["compare", "--help"], [*VERB, "--help"]):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        assert "Example: crlscale compare width-vs-depth" in out
