"""RunConfig: legal values, exact arithmetic of steps, and no field that nothing reads."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crlscale.architecture import Architecture
from crlscale.config import RunConfig, short_hash
from crlscale.depths import legal_depths_near
from crlscale.errors import CrlscaleError
from crlscale.methods import METHODS
from crlscale.presets import PRESETS, preset_settings
from crlscale.program import NO_WINDOW, Hyper, Program, split
from crlscale.settings import check_key, make_config
from crlscale.survival_fields import SurvivalFields

GIVEN = {
    "env": "point_u_maze",
    "num_envs": 8,
    "unroll_length": 10,
    "prefill_steps": 100,
    "env_steps": 100_000,
}
BASE = RunConfig(**GIVEN)

SMALL, LARGER = "##### #R..# #####", "###### #R...# ######"
# what a field needs around it, where GIVEN does not do
AROUND = {
    "maze": {"env": "point_maze", "maze": SMALL},
    "backend": {"env": "ant"},
    "friction": {"env": "ant"},
    "success": {"env": "ant"},
    "time_step": {"env": "humanoid"},
    "hindsight_share": {"agent": "sac_her"},
    "polyak": {"agent": "sac"},
    "survival_weights": {"agent": "safe_crl"},
    "survival_bonus": {"agent": "safe_crl"},
    "exploration_noise": {"agent": "td3"},
    "commanded_horizon": {"agent": "gcsl"},
    **{field: {"agent": "chrono_srl"} for field in SurvivalFields.model_fields},
}
# one legal other value for every field, and where it shows
VARIED = {
    "env": ("chain_8", "program"),
    "maze": (LARGER, "program"),
    "backend": ("generalized", "program"),
    "friction": (0.5, "program"),
    "success": ("easy", "program"),
    "goals": ("single", "program"),
    "stitch": (2, "program"),
    "protocol": ("legacy", "program"),
    "reset": ("frozen", "program"),
    "goal_in_state": (True, "program"),
    "time_step": ("published", "program"),
    "seed": (1, "seed"),
    "agent": ("sac_her", "program"),
    "energy": ("dot", "program"),
    "contrastive_loss": ("binary", "program"),
    "hindsight_share": (0.5, "hyper"),
    "polyak": (0.01, "hyper"),
    "survival_weights": (False, "hyper"),
    "survival_bonus": (0.0, "hyper"),
    "exploration_noise": (0.2, "program"),
    "commanded_horizon": (10, "program"),
    "chunk_length": (3, "program"),
    "trajectory_negatives": (2, "program"),
    "survival_horizon": (150, "program"),
    "survival_bins": (20, "program"),
    "censoring": ("horizon", "program"),
    "dwell_steps": (3, "program"),
    "value_discount": (0.99, "hyper"),
    "current_share": (0.2, "hyper"),
    "random_share": (0.3, "hyper"),
    "distance_weight": (0.5, "hyper"),
    "hinge_weight": (0.0, "hyper"),
    "occupancy_weight": (2.0, "hyper"),
    "collector_depth": (8, "program"),
    "depth": (8, "program"),
    "actor_depth": (8, "program"),
    "critic_depth": (8, "program"),
    "width": (64, "program"),
    "block_size": (2, "program"),
    "representation_size": (32, "program"),
    "precision": ("mixed", "program"),
    "batch_size": (64, "program"),
    "num_envs": (16, "program"),
    "unroll_length": (20, "program"),
    "episode_length": (100, "program"),
    "updates_per_phase": (5, "plan"),
    "env_steps": (200_000, "plan"),
    "prefill_steps": (200, "plan"),
    "replay_capacity": (5000, "program"),
    "replay_precision": ("bfloat16", "program"),
    "evaluations": (10, "plan"),
    "eval_episodes": (256, "program"),
    "goal_set": ("all", "record"),
    "discount": (0.9, "hyper"),
    "hindsight_window": (50, "hyper"),
    "actor_learning_rate": (1e-3, "hyper"),
    "critic_learning_rate": (1e-3, "hyper"),
    "alpha_learning_rate": (1e-3, "hyper"),
    "logsumexp_penalty": (0.0, "hyper"),
    "target_entropy": (-1.0, "hyper"),
    "residual": (False, "program"),
    "layer_norm": (False, "program"),
    "activation": ("relu", "program"),
    "residual_scale": ("inverse_sqrt", "program"),
    "zero_init": (True, "program"),
    "norm_order": ("pre", "program"),
    "hyperspherical": (True, "program"),
    "gradient_clip": (1.0, "hyper"),
    "warmup_updates": (100, "hyper"),
}


def shown(config):
    """What of a config reaches a run: program, traced settings, plan, what scores it, its seed."""
    program, hyper = split(config)
    return {
        "program": program,
        "hyper": tuple(None if x is None else float(x) for x in hyper),
        "plan": (
            config.prefill_unrolls,
            config.phases_per_epoch,
            config.evaluations,
            config.updates,
            config.total_env_steps,
            config.total_updates,
        ),
        "record": config.goal_set,
        "seed": config.seed,
    }


def test_every_field_is_varied():
    assert set(VARIED) == set(RunConfig.model_fields)


@pytest.mark.parametrize("name", VARIED)
def test_every_field_is_read(name):
    """trap 9: each field changes the program, the traced settings, the plan, the score or the key
    (that Program and Hyper are read in turn: tests/test_train.py)."""
    value, place = VARIED[name]
    around = {**GIVEN, **AROUND.get(name, {})}
    base, changed = RunConfig(**around), RunConfig(**{**around, name: value})
    assert shown(base)[place] != shown(changed)[place]
    assert changed.run_id != base.run_id


def test_nothing_of_the_seed_and_the_plan_is_in_the_program():
    """Runs that differ only in these share one compiled program."""
    for name, (value, place) in VARIED.items():
        around = {**GIVEN, **AROUND.get(name, {})}
        base, changed = RunConfig(**around), RunConfig(**{**around, name: value})
        assert (split(changed)[0] == split(base)[0]) is (place != "program"), name
    assert hash(split(BASE)[0]) == hash(split(RunConfig(**BASE.model_dump()))[0])


def test_split_hands_every_setting_to_its_place():
    """Against swapped fields: each one a value of its own."""
    config = RunConfig(
        env="chain_4",
        reset="frozen",
        actor_depth=8,
        critic_depth=12,
        width=33,
        block_size=2,
        representation_size=22,
        precision="mixed",
        batch_size=77,
        num_envs=9,
        unroll_length=11,
        episode_length=44,
        replay_capacity=1500,
        replay_precision="bfloat16",
        eval_episodes=55,
        discount=0.75,
        hindsight_window=13,
        actor_learning_rate=0.25,
        critic_learning_rate=0.125,
        alpha_learning_rate=0.5,
        logsumexp_penalty=2.0,
        target_entropy=-0.25,
        residual_scale="inverse_sqrt",
        zero_init=True,
        norm_order="pre",
        gradient_clip=0.75,
        warmup_updates=17,
        energy="mrn",
        contrastive_loss="symmetric",
        collector_depth=6,
        chunk_length=2,
        trajectory_negatives=3,
    )
    program, hyper = split(config)
    given = {name: getattr(program, name) for name in Program.__dataclass_fields__}
    assert given == {
        "task": config.task,
        "reset": "frozen",
        "actor_depth": 8,
        "critic_depth": 12,
        "architecture": Architecture(
            width=33,
            block_size=2,
            precision="mixed",
            residual_scale="inverse_sqrt",
            zero_init=True,
            norm_order="pre",
        ),
        "representation_size": 22,
        "batch_size": 77,
        "num_envs": 9,
        "unroll_length": 11,
        "episode_length": 44,
        "replay_rows": 1507,
        "replay_capacity": 1500,
        "replay_precision": "bfloat16",
        "eval_envs": 55,
        "agent": "crl",
        "energy": "mrn",
        "contrastive_loss": "symmetric",
        "exploration_noise": 0.1,
        "commanded_horizon": None,
        "chunk_length": 2,
        "trajectory_negatives": 3,
        "survival_horizon": 44,
        "survival_bins": 44,
        "censoring": "observed",
        "dwell_steps": 1,
        "collector_depth": 6,
    }
    assert tuple(float(x) for x in hyper)[:7] == (0.75, 13, 0.25, 0.125, 0.5, 2.0, -2.0)
    assert tuple(float(x) for x in hyper)[7:] == pytest.approx(
        (0.0, 0.005, 1, 1, 0.999, 0.05, 0.1, 1, 1, 1, 0.75, 17)
    )
    assert hyper._fields == (
        "discount",
        "hindsight_window",
        "actor_learning_rate",
        "critic_learning_rate",
        "alpha_learning_rate",
        "logsumexp_penalty",
        "target_entropy",
        "hindsight_share",
        "polyak",
        "survival_weights",
        "survival_bonus",
        "value_discount",
        "current_share",
        "random_share",
        "distance_weight",
        "hinge_weight",
        "occupancy_weight",
        "gradient_clip",
        "warmup_updates",
    )
    types = [jax.dtypes.canonicalize_dtype(x.dtype).name for x in hyper]
    assert types == ["float32", "int32"] + ["float32"] * 16 + ["int32"]
    assert isinstance(program, Program) and isinstance(hyper, Hyper)


def test_target_entropy_is_counted_for_each_action():
    assert float(split(RunConfig(env="chain_8"))[1].target_entropy) == -4.0
    assert float(split(RunConfig(env="point_u_maze"))[1].target_entropy) == -1.0


def test_target_entropy_is_counted_for_each_step_of_a_chunk():
    assert float(split(RunConfig(env="chain_8", agent="ac_crl"))[1].target_entropy) == -12.0
    assert float(split(RunConfig(env="chain_8", chunk_length=2))[1].target_entropy) == -8.0


def test_a_chunk_is_as_long_as_the_method_says():
    """Filled in and saved; what the method says is no part of the identity, another length is."""
    lengths = {agent: RunConfig(agent=agent).chunk_length for agent in METHODS}
    assert lengths["crl"] == lengths["safe_crl"] == 1 and lengths["ac_crl"] == 3
    assert lengths["sac"] is None and RunConfig(agent="sac").chunk_steps == 1
    assert RunConfig(chunk_length=1).run_id == RunConfig().run_id
    assert RunConfig(agent="ac_crl", chunk_length=3).run_id == RunConfig(agent="ac_crl").run_id
    apart = RunConfig(agent="ac_crl", chunk_length=1)
    assert apart.identity()["chunk_length"] == 1 and apart.run_id != RunConfig(agent="ac_crl").run_id


def test_no_clip_is_none():
    assert split(BASE)[1].gradient_clip is None


def test_no_window_is_the_rest_of_the_episode():
    assert int(split(BASE)[1].hindsight_window) == NO_WINDOW == np.iinfo(np.int32).max


# --- steps ------------------------------------------------------------------------------
def test_steps_of_the_paper_s_setting_by_hand():
    """trap 16: 100M nominal env steps: 512 x 62 = 31,744 a phase; 31 phases fit a hundredth of
    100M; 17 unrolls hold 1,000 steps; by the 1:40 ratio 793.6 -> 794 updates, in the study 800."""
    config = RunConfig()
    assert config.phase_env_steps == 31_744
    assert config.phases_per_epoch == 31
    assert config.prefill_unrolls == 17
    assert config.prefill_env_steps == 17 * 31_744 == 539_648
    assert config.updates == 794
    assert config.total_updates == 100 * 31 * 794 == 2_461_400
    assert config.total_env_steps == 539_648 + 98_406_400 == 98_946_048
    assert config.replay_rows == 162 * 62 == 10_044
    assert config.env_steps_per_update == pytest.approx(39.98, abs=0.001)
    paper = RunConfig(**preset_settings("paper"))
    assert paper.updates == 800 and paper.total_updates == 2_480_000
    assert paper.env_steps_per_update == pytest.approx(39.68)


@given(
    envs=st.integers(1, 600),
    unroll=st.integers(1, 100),
    steps=st.integers(1, 10**9),
    evaluations=st.integers(1, 200),
)
def test_planned_steps_never_exceed_the_nominal_ones_by_more_than_they_must(
    envs, unroll, steps, evaluations
):
    """trap 16: at most the nominal steps after the prefill, but one phase an epoch at least; what is
    left out is less than a phase an epoch."""
    config = RunConfig(num_envs=envs, unroll_length=unroll, env_steps=steps, evaluations=evaluations)
    trained = config.total_env_steps - config.prefill_env_steps
    epoch = config.evaluations * config.phase_env_steps
    assert trained % epoch == 0 and trained >= epoch
    assert trained == epoch or 0 <= steps - trained < epoch
    assert (
        config.prefill_unrolls * unroll >= config.prefill_steps > (config.prefill_unrolls - 1) * unroll
    )
    assert (
        config.replay_rows % unroll == 0 and 0 <= config.replay_rows - config.replay_capacity < unroll
    )
    assert config.updates >= 1 and abs(config.updates - envs * unroll / 40) <= max(
        0.5, 1 - envs * unroll / 40
    )


def test_at_least_one_update_a_phase():
    assert RunConfig(num_envs=1, unroll_length=1).updates == 1


def test_evaluation_episodes_are_whole_rounds_of_the_goals():
    """point_u_maze has 6 goal cells: 128 asked for are 132; a continuum takes them as they are."""
    assert BASE.eval_envs == 132
    assert RunConfig(env="point_u_maze", eval_episodes=12).eval_envs == 12
    assert RunConfig(env="chain_8", eval_episodes=7).eval_envs == 7


def test_defaults_that_follow_from_others():
    config = RunConfig(env="point_u5_maze", depth=16)
    assert (config.actor_layers, config.critic_layers) == (16, 16)
    apart = RunConfig(env="chain_8", depth=16, actor_depth=4)
    assert (apart.actor_layers, apart.critic_layers) == (4, 16)


def test_what_the_task_decides_is_filled_in_and_saved():
    """trap 15: a saved config holds values, not a reference to what the task says today."""
    for config, length, goals in (
        (RunConfig(env="point_u5_maze"), 200, "far"),
        (RunConfig(env="point_hardest_maze", episode_length=None), 200, "all"),
        (RunConfig(env="chain_8", goal_set=None, discount=None), 50, "all"),
    ):
        saved = config.model_dump()
        assert (saved["episode_length"], saved["goal_set"]) == (length, goals)
        assert saved["discount"] == config.task.discount and 0.9 <= saved["discount"] <= 0.99
    given = RunConfig(env="point_u5_maze", episode_length=70, goal_set="near", discount=0.5)
    assert (given.episode_length, given.goal_set, given.discount) == (70, "near", 0.5)
    assert RunConfig(env="chain_8").run_id == RunConfig(env="chain_8", episode_length=50).run_id


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_legal(name):
    config = make_config(preset_settings(name))
    assert config.total_updates >= 20


# --- depth ------------------------------------------------------------------------------
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 8, 12, 64, 1024])
@pytest.mark.parametrize("field", ["depth", "actor_depth", "critic_depth"])
def test_legal_depths(field, depth):
    """trap 8: below the block size any, from there its multiples."""
    assert getattr(RunConfig(**{field: depth}), field) == depth


@pytest.mark.parametrize("field", ["depth", "actor_depth", "critic_depth"])
@pytest.mark.parametrize(("depth", "near"), [(5, "4 and 8"), (7, "4 and 8"), (63, "60 and 64")])
def test_illegal_depths_name_the_nearest(field, depth, near):
    """trap 8: never rounded in silence."""
    with pytest.raises(CrlscaleError, match=f"{field} {depth} .* nearest legal: {near}") as caught:
        make_config({field: depth})
    assert caught.value.value == depth
    assert caught.value.remedy == f"{field} = {near.split()[0]}"


@given(depth=st.integers(1, 5000), block=st.integers(1, 64))
def test_depths_named_are_legal(depth, block):
    for near in legal_depths_near(depth, block):
        assert RunConfig(depth=near, block_size=block).depth == near
        assert abs(near - depth) <= block


# --- what is refused --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0}, "width = 0 is not legal"),
        ({"seed": -1}, "seed = -1 is not legal"),
        ({"seed": 2**31}, "seed = 2147483648 is not legal"),
        ({"batch_size": 1}, "batch_size = 1 is not legal"),
        ({"width": "wide"}, "width = 'wide' is not legal"),
        ({"width": 2.5}, "width = 2.5 is not legal"),
        ({"width": True}, "width = True is not legal"),
        ({"width": None}, "width = None is not legal"),
        ({"env": 3}, "env = 3 is not legal"),
        ({"precision": "float64"}, "precision = 'float64' is not legal"),
        ({"discount": 1.0}, "discount = 1.0 is not legal"),
        ({"discount": 0.99999999}, "discount = 0.99999999 is not legal"),
        ({"discount": 0.0}, "discount = 0.0 is not legal"),
        ({"hindsight_window": 2**31}, "hindsight_window = 2147483648 is not legal"),
        ({"actor_learning_rate": float("inf")}, "actor_learning_rate = inf is not legal"),
        ({"target_entropy": float("nan")}, "target_entropy = nan is not legal"),
        ({"logsumexp_penalty": -0.1}, "logsumexp_penalty = -0.1 is not legal"),
        ({"widht": 3}, "unknown config key 'widht'; near keys: width"),
        ({"env": "chian_8"}, "unknown env 'chian_8'; near names: chain_8"),
        ({"env": "point_u_maz"}, "unknown env 'point_u_maz'; near names: point_u_maze"),
        ({"env": "chain_65"}, "a chain has 2 to 64 links"),
        (
            {"env": "chain_8", "goal_set": "far"},
            "goal_set 'far' is not defined for chain_8; legal: all",
        ),
        ({"goal_set": "farthest"}, "goal_set = 'farthest' is not legal"),
        ({"replay_capacity": 999}, "prefill_steps 1000 is over replay_capacity 999"),
        ({"unroll_length": 10_001}, "unroll_length 10001 is over replay_capacity 10000"),
        ({"activation": "gelu"}, "activation = 'gelu' is not legal"),
        ({"gradient_clip": 0.0}, "gradient_clip = 0.0 is not legal"),
        ({"warmup_updates": -1}, "warmup_updates = -1 is not legal"),
        ({"residual": False, "zero_init": True}, "zero_init = true does not go with these networks"),
        (
            {"residual": False, "residual_scale": "inverse_sqrt"},
            "residual_scale = inverse_sqrt does not go with these networks",
        ),
        ({"layer_norm": False, "norm_order": "pre"}, "there is no LayerNorm to move"),
        ({"activation": "relu", "zero_init": True}, "so such blocks never learn"),
        *[
            ({"hyperspherical": True, key: value}, f"{key} = {typed} does not go with these networks")
            for key, value, typed in (
                ("residual", False, "false"),
                ("layer_norm", False, "false"),
                ("residual_scale", "inverse_sqrt", "inverse_sqrt"),
                ("zero_init", True, "true"),
                ("norm_order", "pre", "pre"),
            )
        ],
        ({"agent": "scl"}, "unknown agent 'scl'; near names: "),
        ({"agent": "sac", "energy": "dot"}, "agent sac has no energy; those that have: crl"),
        (
            {"agent": "td3", "hindsight_share": 0.5},
            "agent td3 has no hindsight_share; those that have: sac_her",
        ),
        ({"hindsight_share": 0.0}, "hindsight_share = 0.0 is not legal"),
        ({"chunk_length": 0}, "chunk_length = 0 is not legal"),
        ({"chunk_length": 51}, "chunk_length 51 is over episode_length 50"),
        ({"agent": "ac_crl", "episode_length": 2}, "chunk_length 3 is over episode_length 2"),
        ({"agent": "sac", "chunk_length": 3}, "agent sac has no chunk_length; those that have: crl"),
        ({"trajectory_negatives": -1}, "trajectory_negatives = -1 is not legal"),
        (
            {"agent": "safe_crl", "trajectory_negatives": 1},
            "agent safe_crl has no trajectory_negatives",
        ),
        (
            {"trajectory_negatives": 1, "contrastive_loss": "backward"},
            "contrastive_loss backward compares the rows of a goal",
        ),
        ({"agent": "gcbc", "critic_depth": 8}, "agent gcbc has no critic"),
        (
            {"agent": "safe_crl", "block_size": 3, "depth": 3},
            "agent safe_crl has a network of 4 layers, which blocks of 3 cannot form",
        ),
        ({"energy": "mrn", "representation_size": 7}, "representation_size 7 is odd"),
        ({"censoring": "horizon"}, "agent crl has no censoring; those that have: srl"),
        ({"agent": "srl", "survival_horizon": 51}, "survival_horizon 51 is over the 50 steps"),
        (
            {"agent": "srl", "survival_horizon": 20, "survival_bins": 21},
            "survival_bins 21 is over the 20 steps",
        ),
        ({"agent": "srl", "dwell_steps": 51}, "dwell_steps 51 is over the 50 steps"),
        ({"agent": "srl", "random_share": 0.96}, "add up to more than 1"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_type(settings, words):
    with pytest.raises(CrlscaleError, match=re.escape(words)) as caught:
        make_config(settings)
    assert "\n" not in str(caught.value) and caught.value.remedy
    assert str(caught.value).endswith(f"try: {caught.value.remedy}")


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_remedies_are_legal(name):
    """What an error tells to type works."""
    with pytest.raises(CrlscaleError) as caught:
        make_config({name: [1]})
    key, value = caught.value.remedy.removeprefix("--set ").split("=")
    default = RunConfig.model_fields[name].default
    assert key == name and value == ("null" if default is None else str(default))


def test_known_keys_pass():
    for name in RunConfig.model_fields:
        check_key(name)


def test_a_config_is_frozen_and_complete():
    """trap 15: what is saved before the first step gives the same run again."""
    with pytest.raises(ValueError, match="frozen"):
        BASE.width = 3
    again = RunConfig.model_validate_json(BASE.model_dump_json())
    assert again == BASE and again.run_id == BASE.run_id and split(again)[0] == split(BASE)[0]
    assert all(field.description for field in RunConfig.model_fields.values())


# --- run_id -----------------------------------------------------------------------------
def test_run_ids_are_readable_stable_and_unique():
    """The hash is the SHA-256 of the canonical JSON of the identity: a change here orphans results."""
    config = RunConfig(env="chain_8", depth=16, width=64, batch_size=256, seed=3)
    assert config.run_id == "chain_8-d16-w64-b256-s3-58d88ca5"
    assert config.run_id.endswith(short_hash(config.identity()))
    assert short_hash({"b": 1, "a": [1.5, None]}) == "cf0c4895", "sha256sum of the text"
    ids = {
        RunConfig(**{**GIVEN, **AROUND.get(name, {}), name: value}).run_id
        for name, (value, _) in VARIED.items()
    }
    assert len(ids | {BASE.run_id}) == len(VARIED) + 1


def test_run_id_names_the_method():
    """And fields of methods that came later leave the ids of crl as they were."""
    assert RunConfig(agent="sac_her").run_id.startswith("chain_8-sac_her-d4-")
    assert "agent" not in BASE.identity() and "polyak" not in BASE.identity()


def test_hindsight_goals_decay_as_the_method_or_the_task_says():
    assert RunConfig(env="chain_8", agent="srl").discount == 0.999
    assert RunConfig(env="chain_8", agent="chrono_srl").discount == 0.99
    assert RunConfig(env="chain_8", agent="srl", discount=0.9).discount == 0.9
    assert RunConfig(env="chain_8", agent="gcbc").discount == RunConfig(env="chain_8").discount == 0.95


def test_survival_horizon_is_the_episode_up_to_1000_steps():
    """One bin a step, if no number of bins is given."""
    for settings, horizon, bins in (
        ({"env": "chain_8"}, 50, 50),
        ({"env": "ant"}, 1000, 1000),
        ({"env": "ant", "episode_length": 3000}, 1000, 1000),
        ({"env": "ant", "survival_bins": 32}, 1000, 32),
        ({"env": "ant", "survival_horizon": 200}, 200, 200),
    ):
        program, _ = split(RunConfig(agent="srl", **settings))
        assert (program.survival_horizon, program.survival_bins) == (horizon, bins)


def test_only_her_relabels():
    shares = {agent: float(split(RunConfig(agent=agent))[1].hindsight_share) for agent in METHODS}
    assert {agent for agent, share in shares.items() if share > 0} == {"sac_her", "td3_her"}
    assert shares["td3_her"] == pytest.approx(0.8)


def test_run_id_names_the_depth_that_is_trained():
    assert "-a8-c16-" in RunConfig(depth=16, actor_depth=8).run_id
    assert "-d8-" in RunConfig(depth=16, actor_depth=8, critic_depth=8).run_id
    assert "-d16-" in RunConfig(depth=16, actor_depth=16).run_id
