"""`crlscale report` on stored studies: the two files, what they say, and what a browser makes of them."""

import json
import re
import shlex
import subprocess
import sys

import pytest
from browser import find_chromium, look
from reading_cli import run, run_json
from simulated import flat, saturating, stepping, write_study

from crlscale.plan import plan_study
from crlscale.report.record import sweep_command
from crlscale.store import read_run_metrics, write_json, write_metrics

DEPTHS = {"depth": [2, 4, 8, 16, 32]}
OUTCOME = {(8, 1): "diverged", (16, 0): "failed"}


def text_of(page: str) -> str:
    """The words of a page, without what is packed into it."""
    page = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A study with a diverged and a failed run, and its report, written once for several tests."""
    results = tmp_path_factory.mktemp("results")
    folder = write_study(results, DEPTHS, stepping, outcome=OUTCOME)
    (results / "said").write_text(_run_alone("report", "--results", str(results)))
    return folder


def _run_alone(*arguments: str) -> str:
    """stdout of `crlscale ARGUMENTS` in a process of its own."""
    command = [sys.executable, "-m", "crlscale", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_answer_and_both_files(reported):
    assert (reported.parent / "said").read_text().startswith("Critical depth 8 (95 % interval 8 only,")
    page, text = (reported / "report.html").read_text(), (reported / "report.md").read_text()
    for said in (text_of(page), text):
        assert "How does time at goal on chain_8 change with depth?" in said
        assert "Critical depth 8 (95 % interval 8 only, bracketed)" in said
        for title in ("Scores", "Critical depth", "Learning curves", "What a run cost", "What was run"):
            assert title in said
        assert f"crlscale report {reported.name}" in said
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(shown) == page.count("<img") >= 4
    assert all((reported / name).exists() for name in shown)


def test_a_run_that_was_unstable_is_told_with_its_onset(tmp_path):
    folder = write_study(tmp_path, {"depth": [4, 8]}, stepping)
    runs = sorted((folder / "runs").iterdir())
    said = "unstable from update 12 on (entropy)"
    write_json(
        runs[0] / "status.json", {"schema_version": 1, "status": "complete", "instability": said}
    )
    _run_alone("report", "--results", str(tmp_path))
    assert f"{runs[0].name}: complete ({said})." in (folder / "report.md").read_text()


def test_every_run_has_its_literal_command_and_failures_are_told(reported):
    runs = sorted(path.name for path in (reported / "runs").iterdir())
    assert len(runs) == 15
    for said in (text_of((reported / "report.html").read_text()), (reported / "report.md").read_text()):
        for run_id in runs:
            assert f"python -m crlscale run {reported.name} {run_id}" in said
        assert re.search(r"\S+-d8-\S+-s1-\w+: diverged\.", said)
        assert re.search(r"\S+-d16-\S+-s0-\w+: failed\.", said)
        assert "Nothing: every planned run" not in said


def test_the_same_study_gives_the_same_bytes_in_another_process(reported):
    again = reported.parent / "again"
    _run_alone("report", "--results", str(reported.parent), "--out", str(again))
    files = {path.relative_to(again) for path in again.rglob("*.*")}
    assert {"report.html", "report.md", "critical-depth.svg"} <= {path.name for path in files}
    for file in files:
        assert (again / file).read_bytes() == (reported / file).read_bytes(), file


@pytest.mark.parametrize("kind", ["critical-depth", "cost", "limits"])
def test_a_plot_writes_the_bytes_that_the_report_wrote(reported, capsys, tmp_path, kind):
    """Also where panels are laid out together, which move a little each time that they are."""
    place = ("--results", str(reported.parent), "--out", str(tmp_path))
    assert run(capsys, "plot", kind, reported.name, *place)[0] == 0
    drawn = sorted(tmp_path.glob("*.*"))
    assert [path.suffix for path in drawn] == [".png", ".svg"]
    for path in drawn:
        written = reported / "figures" / path.name
        assert path.read_bytes() == written.read_bytes(), path.name


def test_a_page_asks_for_nothing(reported):
    page = (reported / "report.html").read_text()
    head = re.sub(r'<script type="text/plain".*?</script>|src="data:.*?"', "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", head)
    assert "default-src 'none'" in head
    assert len(page) < 2_000_000


def test_a_caption_is_text_of_the_page_and_not_drawn_again(reported):
    page = (reported / "report.html").read_text()
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    sizes = [
        float(s) for s in re.findall(r"data:image/svg\+xml,%3Csvg [^\"]*?height='([\d.]+)pt'", page)
    ]
    assert len(captions) == len(sizes) == page.count("<img") and all(captions)
    with_caption = (reported / "figures" / "critical-depth.svg").read_text()
    assert sizes[0] < float(re.search(r'height="([\d.]+)pt"', with_caption)[1])


def test_the_command_for_a_study_plans_the_same_study(results, capsys):
    grid = {**DEPTHS, "width": [16, 32]}
    pair = {"actor_depth": [4, 8], "critic_depth": [4, 8]}
    where = ["actor_depth <= critic_depth"]
    settings = {"hindsight_window": 20, "env": "point_u_maze"}
    for axes in ({"width": [16, 32]}, {"batch_size": [32, 64]}, grid, pair, {"discount": [0.9, 0.95]}):
        rules = where if axes is pair else []
        study = plan_study(axes, preset="smoke", settings=settings, where=rules)
        words = shlex.split(sweep_command(study))
        assert words.pop(0) == "crlscale"
        assert run_json(capsys, *words, "--dry-run")["study"] == study.name
    named = plan_study(grid, name="mine")
    assert sweep_command(named).endswith("--study mine")
    assert sweep_command(plan_study({}, cells=[{"depth": 4}, {"depth": 8, "width": 32}])) is None


def test_two_cells_that_differ_in_several_axes_are_compared(results, capsys):
    cells = [{"depth": 4, "zero_init": False}, {"depth": 8, "zero_init": True}]
    folder = write_study(results, {}, lambda config, rng: config.depth + config.seed, cells=cells)
    code, out, _ = run(capsys, "report")
    said = " ".join(out.split())
    # by four steps at the last of two evaluations, by three quarters of that at the one before
    assert (
        code == 0 and "From depth / zero init 4 / False to 8 / True the score changes by +3.5" in said
    )
    text = (folder / "report.md").read_text()
    assert "No two cells differ in depth alone." in text
    assert "its study file does, or an older version" in text


def test_two_named_levels_are_compared_on_each_task_by_itself(results, capsys):
    """Scores of several tasks have no mean; the first level written is the one that is compared with."""

    def score(config, rng):
        gain = {"chain_4": 8, "chain_8": -8}[config.env] if config.precision == "float32" else 0
        return 20 + gain + config.seed

    axes = {"env": ["chain_8", "chain_4"], "precision": ["mixed", "float32"]}
    write_study(results, axes, score)
    code, out, _ = run(capsys, "report")
    said = " ".join(out.split())
    assert code == 0
    # by eight steps at the last of two evaluations, by three quarters of that at the one before
    for env, change in (("chain_8", "-7.0"), ("chain_4", "+7.0")):
        sentence = f"From precision mixed to float32 the score changes by {change} steps on {env}"
        assert said.count(sentence) == 1


def test_the_answer_says_what_became_unstable(results, capsys):
    folder = write_study(results, DEPTHS, stepping)
    run(capsys, "report")
    assert "nstable" not in (folder / "report.md").read_text()
    runs = folder / "runs"
    name = next(runs.glob("*-d8-*-s1-*")).name
    told = {"instability_onset": 3, "instability_kind": "entropy"}
    rows = [
        {**row, "actor_loss": 1.0, "actor_update_ratio": 0.1, **told}
        for row in read_run_metrics(runs / name)
    ]
    write_metrics(runs / name, rows, {"run_id": name})
    _, out, _ = run(capsys, "report")
    said = " ".join(out.split())
    assert said.startswith("Critical depth 8")
    assert "Unstable by a rule: 1 of 1 run at depth 8 (entropy, from update 3 on)" in said


def test_several_studies_are_compared(results, capsys):
    depths = write_study(results, {"depth": [2, 8]}, saturating, name="depths", seeds=2)
    write_study(results, {"width": [16, 64]}, saturating, name="widths", seeds=2)
    data = run_json(capsys, "report", "depths", "widths", "--out", str(results / "both"))
    assert data["studies"] == ["depths", "widths"]
    assert "At equal parameters" in data["answer"] and "From width 16 to 64" in data["answer"]
    assert not (depths / "report.html").exists()
    text = (results / "both" / "report.md").read_text()
    assert text.index("# Depth against width at equal cost") < text.index("\n# depths\n")
    for name in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (results / "both" / name).exists()


def test_the_rule_for_diverged_runs_is_told_and_typed_again(results, capsys):
    folder = write_study(results, DEPTHS, stepping, outcome={(32, 0): "diverged"})
    data = run_json(capsys, "report", "--diverged", "drop")
    assert data["diverged"] == "drop"
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for said in (text_of(page), text):
        assert "Diverged runs are left out." in said and "2/3" in said
        assert f"crlscale report {folder.name} --diverged drop" in said
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert captions and all("Diverged runs are left out." in caption for caption in captions)
    run_json(capsys, "report")
    text = (folder / "report.md").read_text()
    assert "--diverged" not in text and "Diverged runs count with their last finite scores." in text


def test_a_file_of_somebody_else_stays(results, capsys):
    folder = write_study(results, DEPTHS, flat)
    (folder / "report.md").write_text("my notes\n")
    code, out, err = run(capsys, "report")
    assert (code, out) == (2, "")
    assert "is no report of crlscale" in err and "; try: --out FOLDER" in err
    assert (folder / "report.md").read_text() == "my notes\n"
    assert not (folder / "report.html").exists()


def test_a_study_without_a_finished_run_is_refused(results, capsys):
    outcome = {(depth, seed): "planned" for depth in DEPTHS["depth"] for seed in range(3)}
    write_study(results, DEPTHS, flat, name="early", outcome=outcome)
    code, _, err = run(capsys, "report", "early", "--json")
    assert code == 2
    assert "has no finished run" in json.loads(err)["error"]


@pytest.fixture(scope="session")
def chromium():
    path, reason = find_chromium()
    if path is None:
        pytest.skip(reason)
    return path


@pytest.mark.slow
def test_a_browser_shows_every_plot_and_the_keyboard_reaches_it(results, capsys, chromium, tmp_path):
    axes = {**DEPTHS, "batch_size": [32, 64]}
    folder = write_study(results, axes, stepping, outcome={(8, 32, 1): "diverged"})
    run(capsys, "report")
    seen = look(chromium, folder / "report.html", tmp_path)
    for visit in seen.values():
        assert visit["wrong"] == [] and visit["fetched"] == []
    desktop, keyboard = seen["desktop"], seen["keyboard"]
    page = (folder / "report.html").read_text()
    images, plots = page.count("<img"), page.count('class="plot"')
    assert desktop["static"] == 0 and desktop["plots"] >= plots >= images
    assert keyboard["first"] == "Skip to the answer"
    reached = " ".join(keyboard["reached"])
    for name in ("Next point", "Previous point", "Zoom In", "Settings", "Every run"):
        assert name in reached
    assert keyboard["reached"].count("button:Next point") == images
    assert sum(name.endswith(":Reset") for name in keyboard["reached"]) == plots
    assert len(set(keyboard["points"])) == 2
    exact = r"depth \d+, batch size \d+.*: (IQM )?\d+\.\d+ ?.*(of \d seeds|run chain_8-)"
    assert all(re.search(exact, said) for said in keyboard["points"]), keyboard["points"]
    assert seen["phone"]["widths"] == [375, 375]
    assert seen["phone"]["smallest_font"] >= 12
    assert seen["dark"]["paper"] == "rgb(22, 24, 28)"
    assert seen["silent"] == {**seen["silent"], "static": images, "drawn": True}
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    # only what is in view or near it is drawn at first, the rest when it is scrolled to, in its place
    assert desktop["opened"] == desktop["near"] and not all(desktop["opened"])
    assert desktop["scrolled"] == [True] * images and desktop["moved"] == 0
    assert desktop["printed"] == [images, 0]


def test_a_damaged_run_is_told_and_the_others_are_reported(results, capsys):
    folder = write_study(results, {"depth": [4, 8]}, flat, seeds=2)
    broken = next(folder.glob("runs/*/metrics.parquet"))
    broken.write_bytes(broken.read_bytes()[:300])
    assert run(capsys, "report")[0] == 0
    assert f"{broken.parent.name}: damaged" in (folder / "report.md").read_text()
