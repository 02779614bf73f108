"""Real tiny runs: what they write, how they stop and go on, how they diverge, seeds together."""

import json
import math
import signal

import numpy as np
import pytest
from real_runs import crlscale, once, run_signalled, status, tiny_study

from crlscale import store
from crlscale.schema import BLOCKS, METRICS
from crlscale.study import Execution

TRAINING = {
    *("critic_loss", "categorical_accuracy", "logsumexp", "positive_energy", "negative_energy"),
    *("actor_loss", "entropy", "alpha"),
    *(
        f"{net}_{kind}_norm"
        for net in ("actor", "state_action", "goal")
        for kind in ("gradient", "parameter")
    ),
    *("actor_update_ratio", "state_action_update_ratio", "goal_update_ratio"),
}
INSTABILITY = ("instability_onset", "instability_kind")
TIMES = {
    *("env_steps_per_second", "updates_per_second", "train_seconds", "evaluation_seconds"),
    *("cpu_seconds", "compile_seconds", "peak_memory_bytes", "resumed"),
}


def rows(run) -> list[dict]:
    return store.read_run_metrics(run)


def block_rows(run) -> list[dict]:
    return [row for table in store.read_run_blocks(run) for row in table.to_pylist()]


def without(row: dict, names) -> dict:
    return {key: value for key, value in row.items() if key not in names}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One run from start to end in one process: its folder and config."""

    def make(folder):
        study, plan = tiny_study(folder)
        (run_id,) = plan.configs
        code, out, err = crlscale("run", study, run_id)
        return {"code": code, "out": out, "err": err, "run_id": run_id}

    made = once(tmp_path_factory, "plain", make)
    study, plan = tiny_study(made["folder"])
    return {**made, "run": study / "runs" / made["run_id"], "config": plan.configs[made["run_id"]]}


def test_run_ends_well_and_says_so(plain):
    assert (plain["code"], plain["out"]) == (0, "")
    assert plain["err"] == f"complete: {plain['run_id']}\n"
    assert {path.name for path in plain["run"].iterdir()} == {
        "config.json",
        "status.json",
        "history.jsonl",
        "metrics.parquet",
        "blocks.parquet",
    }


def test_config_is_complete_and_older_than_all_else(plain):
    path = plain["run"] / "config.json"
    assert json.loads(path.read_text()) == plain["config"].model_dump()
    assert path.stat().st_mtime <= store.read_json(plain["run"] / "status.json")["started"]


def test_a_row_for_each_evaluation_at_the_planned_steps(plain):
    config = plain["config"]
    found = [(r["evaluation"], r["env_steps"], r["gradient_steps"]) for r in rows(plain["run"])]
    assert (config.phases_per_epoch, config.updates) == (3, 8)  # else this test is too easy
    prefill, epoch = config.prefill_env_steps, 3 * config.phase_env_steps
    assert found == [(0, prefill, 0), (1, prefill + epoch, 24), (2, prefill + 2 * epoch, 48)]
    assert found[-1][1:] == (config.total_env_steps, config.total_updates)


def test_row_before_training_has_no_training_metrics(plain):
    first, *trained = rows(plain["run"])
    unknown = TRAINING | {"first_nonfinite_update", "env_steps_per_second", "updates_per_second"}
    unknown |= set(INSTABILITY)
    assert {name for name in unknown if first[name] is not None} == set()
    for row in trained:
        assert all(math.isfinite(row[name]) for name in TRAINING)
        assert row["first_nonfinite_update"] is None
        assert [row[name] for name in INSTABILITY] == [None, None]
        assert 0 < row["actor_update_ratio"] < 0.1
        assert row["updates_per_second"] > 0 and row["env_steps_per_second"] > 0
        assert row["alpha"] > 0 and row["actor_parameter_norm"] > 0


def test_blocks_of_every_network_at_every_evaluation(plain):
    """Depth 4 is one block of each of three networks."""
    measured = block_rows(plain["run"])
    assert set(measured[0]) == {column.name for column in BLOCKS}
    assert [(r["evaluation"], r["network"], r["block"]) for r in measured] == [
        (evaluation, network, 0)
        for evaluation in range(3)
        for network in ("actor", "goal", "state_action")
    ]
    steps = {(r["evaluation"], r["env_steps"], r["gradient_steps"]) for r in rows(plain["run"])}
    assert {(r["evaluation"], r["env_steps"], r["gradient_steps"]) for r in measured} == steps
    for row in measured:
        for name in ("stream_norm", "branch_norm", "gradient_norm", "parameter_norm", "update_ratio"):
            assert row[name] > 0 and math.isfinite(row[name]), name
        assert row["run_id"] == plain["run_id"]
    by_name = {name: [r[name] for r in measured[::3]] for name in ("stream_norm", "parameter_norm")}
    assert all(len(set(values)) == 3 for values in by_name.values()), "training moves them"
    footer = store.read_metadata(plain["run"] / "blocks.parquet")
    assert (footer["run_id"], footer["config"]) == (plain["run_id"], plain["config"].model_dump())


def test_every_evaluation_is_measured_and_bounded(plain):
    config = plain["config"]
    for row in rows(plain["run"]):
        assert row["eval_episodes"] == config.eval_envs
        assert 0 <= row["time_at_goal_all"] <= config.episode_length
        assert 0 <= row["success_rate_all"] <= 1
        assert row["survival_all"] == config.episode_length  # a chain cannot fail
        assert (row["first_hit_all"] is None) == (row["success_rate_all"] == 0)
        for name in ("time_at_goal_far", "success_rate_near", "coverage_all"):
            assert row[name] is None  # a chain has no goal cells


def test_rows_carry_their_axes_and_times(plain):
    config, measured = plain["config"], rows(plain["run"])
    for row in measured:
        assert set(row) == {column.name for column in METRICS}
        for axis in ("env", "seed", "depth", "width", "batch_size", "run_id"):
            assert row[axis] == getattr(config, axis)
        assert (row["program_runs"], row["resumed"]) == (1, False)
        assert row["cpu_seconds"] > 0 and row["peak_memory_bytes"] > 1e8
    assert [row["compile_seconds"] is None for row in measured] == [False, True, True]
    assert (
        measured[0]["train_seconds"] == 0 < measured[1]["train_seconds"] < measured[2]["train_seconds"]
    )


def test_agent_that_is_measured_is_the_agent_that_trains(plain):
    first, middle, last = rows(plain["run"])
    for name in ("actor_parameter_norm", "state_action_parameter_norm", "goal_parameter_norm"):
        assert middle[name] != last[name]
    assert first["time_at_goal_all"] is not None


def test_footer_explains_the_file(plain):
    footer = store.read_metadata(plain["run"] / "metrics.parquet")
    assert footer["config"] == plain["config"].model_dump()
    assert (footer["run_id"], footer["study"]) == (plain["run_id"], "tiny")
    assert (footer["status"], footer["threads"]) == ("complete", 1)
    assert footer["device"] and {"jax", "brax", "mujoco", "python"} <= footer["versions"].keys()


def test_status_is_that_of_a_finished_run(plain):
    found, config = store.read_json(plain["run"] / "status.json"), plain["config"]
    expected = {
        "status": "complete",
        "cause": None,
        "env_steps": config.total_env_steps,
        "total_env_steps": config.total_env_steps,
        "gradient_steps": config.total_updates,
        "total_updates": config.total_updates,
        "time_at_goal": rows(plain["run"])[-1]["time_at_goal_all"],
    }
    assert {key: found[key] for key in expected} == expected
    assert found["ended"] >= found["started"]


# --- stopping and going on -----------------------------------------------------------------
def stop_at_first_chunk(study, run_ids, number) -> tuple[int, str, str]:
    return run_signalled(study, run_ids, number, "chunk")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The same run as `plain`, stopped by SIGTERM, gone on, stopped by Ctrl-C, gone on."""

    def make(folder):
        study, plan = tiny_study(folder)
        (run_id,) = plan.configs
        run, made = study / "runs" / run_id, []
        for number in (signal.SIGTERM, signal.SIGINT, None):
            if number is None:
                code, _, err = crlscale("run", study, run_id)
            else:
                code, _, err = stop_at_first_chunk(study, [run_id], number)
            left = sorted(path.name for path in run.iterdir())
            made.append(
                {
                    "code": code,
                    "err": err,
                    "left": left,
                    "rows": len(rows(run)),
                    **status(study, run_id),
                }
            )
        return {"made": made, "run_id": run_id}

    found = once(tmp_path_factory, "interrupted", make)
    return {**found, "run": found["folder"] / "tiny" / "runs" / found["run_id"]}


def test_signals_stop_a_run_after_a_checkpoint(interrupted):
    terminated, ctrl_c, _ = interrupted["made"]
    assert (terminated["code"], ctrl_c["code"]) == (75, 130)
    for stopped, number in ((terminated, 15), (ctrl_c, 2)):
        assert (stopped["status"], stopped["cause"]) == ("stopped", f"stopped by signal {number}")
        assert stopped["left"] == [
            "blocks.parquet",
            "checkpoints",
            "config.json",
            "history.jsonl",
            "metrics.parquet",
            "status.json",
        ]
        assert stopped["rows"] == 1
        assert stopped["err"].startswith("stopped: ")
    assert (terminated["gradient_steps"], ctrl_c["gradient_steps"]) == (8, 16)  # of 24 an epoch


def test_run_that_went_on_equals_one_that_never_stopped(interrupted, plain):
    last = interrupted["made"][-1]
    assert (last["code"], last["status"], last["cause"]) == (0, "complete", None)
    kept = ["blocks.parquet", "config.json", "history.jsonl", "metrics.parquet", "status.json"]
    assert last["left"] == kept
    found, wanted = rows(interrupted["run"]), rows(plain["run"])
    assert [without(row, TIMES) for row in found] == [without(row, TIMES) for row in wanted]
    assert [row["resumed"] for row in found] == [False, True, True]
    assert block_rows(interrupted["run"]) == block_rows(plain["run"])


@pytest.mark.slow
def test_runs_over_the_precision_of_the_replay_differ_and_go_on_exactly(tmp_path, plain):
    """An axis; in bfloat16 a run is another after its first update, and one that was stopped the same."""
    axes = {"replay_precision": ["float32", "bfloat16"]}
    (study, plan), (other, _) = (
        tiny_study(tmp_path, axes=axes, name=name) for name in ("one", "other")
    )
    assert plan.configs[plain["run_id"]] == plain["config"], "float32 is what older runs are"
    (run_id,) = set(plan.configs) - {plain["run_id"]}
    assert crlscale("run", study, run_id)[0] == 0
    assert stop_at_first_chunk(other, [run_id], signal.SIGTERM)[0] == 75
    assert crlscale("run", other, run_id)[0] == 0
    whole, resumed = (rows(folder / "runs" / run_id) for folder in (study, other))
    assert [without(row, TIMES) for row in resumed] == [without(row, TIMES) for row in whole]
    float32 = rows(plain["run"])
    assert whole[0]["time_at_goal_all"] == float32[0]["time_at_goal_all"]
    losses = [[row["critic_loss"] for row in found[1:]] for found in (whole, float32)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_seconds_of_training_go_on_too(interrupted):
    seconds = [row["train_seconds"] for row in rows(interrupted["run"])]
    assert seconds[0] == 0 < seconds[1] < seconds[2]
    rate = rows(interrupted["run"])[1]["updates_per_second"]
    assert rate == pytest.approx(24 / seconds[1])


@pytest.mark.slow
def test_run_without_its_replay_goes_on_after_a_fresh_prefill_and_says_so(tmp_path, plain):
    execution = Execution(checkpoint_replay_gb=0.0)
    study, plan = tiny_study(tmp_path, execution=execution)
    ((run_id, config),) = plan.configs.items()
    assert plan.configs[run_id] == plain["config"]
    for _ in range(2):
        assert stop_at_first_chunk(study, [run_id], signal.SIGTERM)[0] == 75
    code, _, err = crlscale("run", study, run_id)
    assert code == 0 and "holds no replay" in err
    found, wanted = rows(study / "runs" / run_id), rows(plain["run"])
    refill = config.prefill_env_steps
    assert [row["refill_env_steps"] for row in found] == [0, 2 * refill, 2 * refill]
    assert [row["refill_env_steps"] for row in wanted] == [0, 0, 0]
    assert without(found[0], TIMES) == without(wanted[0], TIMES)
    for mine, theirs in zip(found[1:], wanted[1:], strict=True):
        assert (mine["env_steps"], mine["gradient_steps"]) == (
            theirs["env_steps"],
            theirs["gradient_steps"],
        )
        assert math.isfinite(mine["critic_loss"]) and mine["critic_loss"] != theirs["critic_loss"]


@pytest.mark.slow
def test_other_versions_after_a_resume_are_told_and_stand_in_the_footer(tmp_path):
    """As after an upgrade between the stop and the resume."""
    study, plan = tiny_study(tmp_path)
    (run_id,) = plan.configs
    run = study / "runs" / run_id
    stop_at_first_chunk(study, [run_id], signal.SIGTERM)
    footer = store.read_metadata(run / "metrics.parquet")
    footer["versions"]["jax"], footer["code_version"] = "0.0.1", "0.0.2"
    store.write_metrics(run, rows(run), footer)
    code, _, err = crlscale("run", study, run_id)
    assert code == 0
    assert f"{run_id} goes on with other versions: jax 0.0.1 -> " in err and "crlscale 0.0.2 -> " in err
    (before,) = store.read_metadata(run / "metrics.parquet")["before"]
    assert (before["until_evaluation"], before["code_version"]) == (0, "0.0.2")
    assert before["versions"]["jax"] == "0.0.1"


@pytest.mark.slow
def test_run_whose_rows_were_removed_does_not_go_on_as_if_they_were_there(tmp_path):
    study, plan = tiny_study(tmp_path)
    (run_id,) = plan.configs
    run = study / "runs" / run_id
    stop_at_first_chunk(study, [run_id], signal.SIGTERM)
    (run / "metrics.parquet").unlink()
    code, _, err = crlscale("run", study, run_id)
    assert (
        code == 2
        and "without rows that were measured" in err
        and f"crlscale runs redo {study.name} {run_id}" in err
    )
    assert (status(study, run_id)["status"], status(study, run_id)["kind"]) == ("failed", "illegal")
    assert (run / "checkpoints").exists()


# --- physics -------------------------------------------------------------------------------
def test_fingerprint_is_in_the_first_row_and_in_the_footer(plain):
    first, *others = rows(plain["run"])
    found = json.loads(first["physics"])
    assert (found["backend"], len(found["trajectory"])) == ("jax", 10)
    assert all(row["physics"] is None for row in others)
    assert store.read_metadata(plain["run"] / "metrics.parquet")["physics"] == found


@pytest.mark.slow
def test_run_does_not_go_on_under_other_physics(tmp_path):
    """As after an upgrade that simulates in another way; what was measured stays."""
    study, plan = tiny_study(tmp_path)
    (run_id,) = plan.configs
    run = study / "runs" / run_id
    stop_at_first_chunk(study, [run_id], signal.SIGTERM)
    measured, footer = rows(run), store.read_metadata(run / "metrics.parquet")
    other = json.loads(measured[0]["physics"])
    other["trajectory"][0][0] += 0.01
    measured[0]["physics"] = json.dumps(other)
    store.write_metrics(run, measured, footer)
    code, _, err = crlscale("run", study, run_id)
    assert code == 2 and "began with other physics" in err and f"remove {run}" in err
    assert status(study, run_id)["status"] == "failed"
    assert rows(run) == measured


# --- instability ---------------------------------------------------------------------------
def test_onset_of_instability_outlives_a_stop_and_is_told(tmp_path):
    """A step size at which a run is broken at once and yet finite; the first chunk ends before the first
    evaluation, so the onset comes through the checkpoint."""
    rates = {"actor_learning_rate": 10.0, "critic_learning_rate": 10.0}
    study, plan = tiny_study(tmp_path, **rates)
    (run_id,) = plan.configs
    assert stop_at_first_chunk(study, [run_id], signal.SIGTERM)[0] == 75
    code, _, err = crlscale("run", study, run_id)
    measured, found = rows(study / "runs" / run_id), status(study, run_id)
    onsets = [[row[name] for name in INSTABILITY] for row in measured]
    assert onsets == [[None, None], *2 * [[0, "actor_update_ratio"]]]
    assert measured[1]["actor_update_ratio"] > 0.05, "the first of 24 is about 1"
    assert (code, found["status"], found["cause"]) == (0, "complete", None)
    assert found["instability"] == "unstable from update 0 on (actor_update_ratio)"
    assert err == f"complete: {run_id} ({found['instability']})\n"


# --- divergence ----------------------------------------------------------------------------
@pytest.mark.parametrize("evaluations", [1, 2])
def test_divergence_is_a_result(tmp_path, evaluations):
    """An absurd learning rate; with one evaluation the last row is the diverged one."""
    study, plan = tiny_study(
        tmp_path, critic_learning_rate=1e30, evaluations=evaluations, env_steps=960 * evaluations
    )
    (run_id,) = plan.configs
    code, _, err = crlscale("run", study, run_id)
    found = status(study, run_id)
    assert (code, found["status"]) == (0, "diverged")
    assert found["cause"].startswith("loss not finite at update ")
    assert err == f"diverged: {run_id} ({found['cause']}; {found['instability']})\n"
    first, last = rows(study / "runs" / run_id)  # it ends at the first evaluation that tells
    assert first["time_at_goal_all"] is not None
    assert 0 <= last["first_nonfinite_update"] < 24
    assert str(last["first_nonfinite_update"]) in found["cause"]
    assert last["instability_onset"] <= last["first_nonfinite_update"]
    assert found["instability"] is not None
    measured = [name for name in last if name.endswith(("_all", "_far", "_near")) or "eval_ep" in name]
    assert all(last[name] is None for name in measured)
    assert not math.isfinite(last["critic_loss"])
    footer = store.read_metadata(study / "runs" / run_id / "metrics.parquet")
    assert footer["status"] == "diverged"
    assert crlscale("run", study, run_id)[0] == 0
    assert status(study, run_id) == found  # finished: not tried again


# --- seeds together ------------------------------------------------------------------------
@pytest.mark.slow
def test_seeds_in_one_program_agree_with_single_runs(tmp_path, plain):
    """Also when the program stops and goes on: its checkpoint belongs to all its runs."""
    study, plan = tiny_study(tmp_path, seeds=2, execution=Execution(seeds_per_program=2))
    ((zero, one),) = plan.groups
    assert plan.configs[zero] == plain["config"]
    code, _, _ = stop_at_first_chunk(study, [one, zero], signal.SIGTERM)
    assert code == 75
    assert [status(study, i)["status"] for i in (zero, one)] == ["stopped", "stopped"]
    assert crlscale("run", study, one, zero)[0] == 0
    assert [status(study, i)["status"] for i in (zero, one)] == ["complete", "complete"]
    together, other = rows(study / "runs" / zero), rows(study / "runs" / one)
    for row, alone in zip(together, rows(plain["run"]), strict=True):
        assert (row["run_id"], row["seed"], row["program_runs"]) == (zero, 0, 2)
        assert row["env_steps"] == alone["env_steps"]
        for name in TRAINING:
            if alone[name] is not None:
                np.testing.assert_allclose(row[name], alone[name], rtol=0.02, atol=1e-3, err_msg=name)
    assert together[0]["time_at_goal_all"] == pytest.approx(rows(plain["run"])[0]["time_at_goal_all"])
    assert [row["seed"] for row in other] == [1, 1, 1]
    blocks = [block_rows(study / "runs" / run_id) for run_id in (zero, one)]
    for own, run_id in zip(blocks, (zero, one), strict=True):
        assert [row["run_id"] for row in own] == 9 * [run_id]
    for mine, alone, theirs in zip(blocks[0], block_rows(plain["run"]), blocks[1], strict=True):
        assert mine["stream_norm"] == pytest.approx(alone["stream_norm"], rel=0.02)
        assert mine["stream_norm"] != theirs["stream_norm"]
    assert other[1]["critic_loss"] != pytest.approx(together[1]["critic_loss"], rel=1e-6)


# --- mazes ---------------------------------------------------------------------------------
@pytest.mark.slow
def test_maze_run_records_every_goal_cell(tmp_path):
    study, plan = tiny_study(
        tmp_path, env="point_u_maze", evaluations=1, env_steps=320, episode_length=50, depth=2
    )
    ((run_id, config),) = plan.configs.items()
    assert crlscale("run", study, run_id)[0] == 0
    measured = rows(study / "runs" / run_id)
    goals = store.read_run_goals(study / "runs" / run_id)
    cells = config.task.goal_cells
    assert [g["evaluation"] for g in goals] == [0] * cells + [1] * cells
    assert [g["goal_cell"] for g in goals] == 2 * list(range(cells))
    assert len({(g["row"], g["column"]) for g in goals}) == cells
    assert 0 < sum(g["far"] for g in goals[:cells]) < cells
    for row in measured:
        here = [g for g in goals if g["evaluation"] == row["evaluation"]]
        assert {g["env_steps"] for g in here} == {row["env_steps"]}
        assert sum(g["episodes"] for g in here) == row["eval_episodes"] == config.eval_envs
        assert len({g["episodes"] for g in here}) == 1  # every goal equally often
        for goal_set, chosen in (("all", here), ("far", [g for g in here if g["far"]])):
            mean = np.mean([g["time_at_goal"] for g in chosen])
            assert row[f"time_at_goal_{goal_set}"] == pytest.approx(mean)
            covered = np.mean([g["success_rate"] >= 0.5 for g in chosen])
            assert row[f"coverage_{goal_set}"] == pytest.approx(covered)
        for goal in here:
            assert (goal["first_hit"] is None) == (goal["success_rate"] == 0)
    footer = store.read_metadata(study / "runs" / run_id / "goals.parquet")
    assert (footer["run_id"], footer["config"]) == (run_id, config.model_dump())
