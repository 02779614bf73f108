"""What a preset promises: the README's job, the committed study, the published settings."""

import pytest

from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.presets import PRESETS, preset_settings
from crlscale.settings import make_config


def test_the_four_presets():
    assert set(PRESETS) == {"smoke", "quick", "laptop", "paper"}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_fixes_what_it_must_and_leaves_the_axes_and_the_task(name):
    settings = preset_settings(name)
    assert {"env_steps", "num_envs", "batch_size", "width", "evaluations"} <= settings.keys()
    assert settings.keys() <= RunConfig.model_fields.keys()
    assert not settings.keys() & {"seed", "depth", "actor_depth", "critic_depth"}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("env", ["chain_8", "point_u_maze", "point_hardest_maze"])
@pytest.mark.parametrize("depth", [2, 4, 1024])
def test_preset_is_legal_on_every_task_and_depth(name, env, depth):
    config = make_config({**preset_settings(name), "env": env, "depth": depth})
    assert config.total_updates >= config.evaluations


@pytest.mark.parametrize("env", ["chain_8", "point_big_maze"])
def test_smoke_is_two_evaluations_and_twenty_updates(env):
    config = make_config({**preset_settings("smoke"), "env": env})
    assert (config.evaluations, config.total_updates) == (2, 20)


def test_paper_is_as_published():
    """arXiv 2503.14858, Table 7, in the study's ratio of env steps to updates."""
    config = make_config({**preset_settings("paper"), "env": "point_u_maze"})
    assert (config.num_envs, config.batch_size, config.width) == (512, 512, 256)
    assert (config.unroll_length, config.updates) == (62, 800)
    assert (config.replay_capacity, config.prefill_steps) == (10_000, 1000)
    assert (config.evaluations, config.eval_episodes) == (100, 128)
    assert config.discount == 0.99
    assert config.actor_learning_rate == config.critic_learning_rate == 3e-4
    assert config.env_steps_per_update == pytest.approx(39.68)


def test_quick_is_a_short_laptop():
    """The README's job differs from the committed study in its length only."""
    quick, laptop = preset_settings("quick"), preset_settings("laptop")
    assert {key for key in laptop if laptop[key] != quick.get(key)} <= {"env_steps", "evaluations"}
    assert quick.keys() == laptop.keys()
    assert quick["env_steps"] < laptop["env_steps"]


def test_what_is_handed_out_is_a_copy():
    preset_settings("smoke")["width"] = 7
    assert preset_settings("smoke")["width"] != 7


def test_unknown_preset_lists_the_legal_ones():
    with pytest.raises(CrlscaleError) as refused:
        preset_settings("medium")
    assert "legal: smoke, quick, laptop, paper" in refused.value.message
    assert refused.value.remedy == "--preset quick"
