"""What depth brings each method: slopes and costs by hand, verdicts, figure, command."""

import numpy as np
import pytest
from reading_cli import run, run_json
from simulated import flat, write_study
from test_figures import drawn
from test_figures_scaling import assert_figure, find

from crlscale.analysis.gains import method_gains
from crlscale.counts import trunk_layers
from crlscale.errors import CrlscaleError
from crlscale.report.build import build_report
from crlscale.report.finding import Loaded
from crlscale.report.kinds import KINDS
from crlscale.score import load_scores
from crlscale.settings import make_config

AXES = {"agent": ["crl", "sac", "gcbc"], "depth": [4, 8, 32]}
SLOPES = {"crl": 2.0, "sac": -1.0, "gcbc": 0.0}


def sloped(config, rng) -> float:
    """crl gains 2 a doubling from 10, sac loses 1 from 20, gcbc stays at 30; seeds stand 0.1 apart."""
    start = {"crl": 10, "sac": 20, "gcbc": 30}[config.agent]
    last = start + SLOPES[config.agent] * np.log2(config.depth / 4) + 0.1 * (config.seed - 1)
    return last / 0.875  # a score is the mean of two evaluations, of which the first is 3/4 of the last


def test_slopes_layers_and_costs_by_hand(results):
    (found,) = method_gains(load_scores(write_study(results, AXES, sloped)))
    crl, sac, gcbc = found.methods
    for method in (crl, sac, gcbc):
        assert method.slope.value == pytest.approx(SLOPES[method.level])
        # weights of a line over 2, 3 and 5 doublings: (-4, -1, 5) / 14; IQMs have variance 0.01 / 3
        error = np.sqrt((16 + 1 + 25) / 14**2 * 0.01 / 3)
        assert method.slope.standard_error == pytest.approx(error)
    assert [m.verdict for m in found.methods] == ["gains", "loses", "not shown"]
    assert crl.layers == ((4, 8), (32, 64)) and gcbc.layers == ((4, 0), (32, 0))
    # the invented hours grow with depth and nothing else
    assert crl.growth["hours"] == pytest.approx(8)
    assert sac.growth["training_flops"] > gcbc.growth["training_flops"] > 1
    # depth 4 minus crl at depth 32: crl has 10 + 2 * 3 there
    assert [m.against_largest.value for m in found.methods] == pytest.approx([-6, 4, 14])
    assert found.best is gcbc
    assert [(level, d.value) for level, d, _ in found.more] == [
        ("sac", pytest.approx(-3)), ("gcbc", pytest.approx(-2)),
    ]  # fmt: skip
    assert "Gain from depth: crl +2.0 [" in found.sentence
    assert "lose by depth: sac -1.0 [" in found.sentence
    assert "no effect of depth is shown for: gcbc" in found.sentence
    assert "At depth 4 already better than crl at 32: sac, gcbc" in found.sentence


def test_trunk_layers_are_those_of_the_methods_page():
    """docs/methods.md: actor and all critics at depth 8; survival networks have 4 whatever the depth."""
    known = {"crl": (8, 16), "safe_crl": (8, 20), "srl": (8, 16), "chrono_srl": (8, 24), "td3": (8, 16)}
    for agent, layers in known.items():
        assert trunk_layers(make_config({"agent": agent, "depth": 8})) == layers


def test_noise_is_seldom_a_gain(results):
    """Three seeds of equal methods: Holm holds the chance of any verdict at 5 %."""
    wrong = 0
    for draw in range(16):

        def noise(config, rng, draw=draw):
            return float(20 + np.random.default_rng([draw, config.seed, config.depth]).normal(0, 2))

        folder = write_study(results / str(draw), {"agent": ["crl", "sac"], "depth": [4, 32]}, noise)
        (found,) = method_gains(load_scores(folder))
        wrong += any(method.verdict in ("gains", "loses") for method in found.methods)
    assert wrong <= 3  # 16 draws at 5 %: more than 3 once in 140


def test_what_counts_alone_may_not_count_among_many(results):
    """A slope of 2.3 standard errors, 6 degrees of freedom, is p = 0.03 alone and 0.13 among four."""

    def noisy(config, rng):
        gains = config.agent == "crl" and config.depth == 32
        at = [-1.5, -0.5, 0.5, 1.5][config.seed] + (10.0 + 2.92 * gains)
        return at / 0.875

    axes = {"agent": ["crl", "sac", "td3", "gcbc"], "depth": [4, 32]}
    (found,) = method_gains(load_scores(write_study(results, axes, noisy, seeds=4)))
    first, *others = found.methods
    assert first.slope.low > 0 and first.corrected > 0.05
    assert first.verdict == "alone" and {method.verdict for method in others} == {"not shown"}
    words = "Depth counts by its own interval, not after Holm's correction, for: crl +1.0 ["
    assert found.sentence.startswith(words)


def test_a_method_with_one_scored_depth_is_left_out(results):
    outcome = {("sac", depth, seed): "planned" for depth in (8, 32) for seed in range(3)}
    scores = load_scores(write_study(results, AXES, sloped, outcome=outcome))
    (found,) = method_gains(scores)
    assert [method.level for method in found.methods] == ["crl", "gcbc"]


def test_study_without_a_method_at_two_depths_has_a_report_without_the_chapter(results):
    outcome = {(agent, depth, seed): "planned" for agent, depth in
               (("crl", 32), ("sac", 4)) for seed in range(3)}  # fmt: skip
    axes = {"agent": ["crl", "sac"], "depth": [4, 32]}
    folder = write_study(results, axes, sloped, outcome=outcome)
    loaded = Loaded(folder, load_scores(folder))
    assert not KINDS["methods"].applies(loaded)
    (chapter,) = build_report([loaded]).chapters
    assert "methods" not in {finding.kind for finding in chapter.findings}


def test_other_axes_of_methods_and_of_scale(results):
    folder = write_study(results, {"energy": ["l2", "dot"], "width": [16, 32]}, flat)
    (found,) = method_gains(load_scores(folder), "energy", "width")
    assert [method.level for method in found.methods] == ["l2", "dot"]
    assert "from width" in found.sentence or "for: l2" in found.sentence
    with pytest.raises(CrlscaleError, match="'seed' is no axis of scale"):
        method_gains(load_scores(folder), "energy", "seed")
    with pytest.raises(CrlscaleError, match="no agent and no depth axis") as refused:
        method_gains(load_scores(folder))
    assert "--axis agent=... --depths ..." in refused.value.remedy


def test_figure_has_every_cell_and_every_slope(results):
    finding = find(write_study(results, AXES, sloped), "methods")
    result = finding.pictures[0].result
    left, right = assert_figure(finding).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["gcbc", "sac", "crl"]
    for level in AXES["depth"]:
        x, _ = drawn(left.lines, f"depth {level}")
        at = {
            m.level: c.estimate.value
            for m in result.methods
            for c in m.cells
            if c.levels["depth"] == level
        }
        assert x.tolist() == [at[name] for name in ("gcbc", "sac", "crl")]
    marks = [line for line in right.lines if line.get_marker() == "o"]
    slopes = {method.level: method.slope.value for method in result.methods}
    assert [mark.get_xdata()[0] for mark in marks] == [slopes[name] for name in ("gcbc", "sac", "crl")]


def test_command_prints_tables_that_fit_and_the_sentence(results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = write_study(results, AXES, sloped)
    code, out, err = run(capsys, "analyze", "methods")
    words = " ".join(out.split())
    assert code == 0 and all(len(line) <= 80 for line in out.splitlines())
    assert "4+8 to 32+64" in out and "Gain from depth: crl +2.0" in words
    assert err == f"next: crlscale plot methods {folder.name} --results {results}\n"
    (row,) = run_json(capsys, "analyze", "methods")["rows"]
    assert [method["verdict"] for method in row["methods"]] == ["gains", "loses", "not shown"]
