"""A run that cannot fit is refused, and what is told to type instead fits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal

from crlscale.cost import device_bytes, memory_bytes
from crlscale.fit import require_fit
from crlscale.plan import plan_study
from crlscale.study import Execution

ENV = {"env": "humanoid"}


def study_of(axes=None, **options):
    settings = {**ENV, **options.pop("settings", {})}
    return plan_study(axes or {"depth": [4]}, preset="paper", seeds=1, settings=settings, **options)


def test_what_fits_is_told_in_bytes():
    study = study_of({"depth": [4, 64]})
    needs = [memory_bytes(config) for config in study.configs.values()]
    assert require_fit(study, memory_bytes, max(needs), "are free") == max(needs)


@pytest.mark.parametrize(
    "settings, field",
    [
        ({"replay_capacity": 1_000_000}, "replay_capacity"),
        ({"num_envs": 65536}, "num_envs"),
        ({"width": 16384}, "width"),
        ({"batch_size": 131072}, "batch_size"),
        ({"actor_depth": 2**22}, "actor_depth"),
        ({"critic_depth": 2**22}, "critic_depth"),
    ],
)
def test_the_field_that_makes_it_so_is_named_and_the_remedy_fits(settings, field):
    error = refusal(require_fit, study_of(settings=settings), memory_bytes, 16e9, "are free")
    assert f"{field} = {settings[field]} makes it so" in error.message
    assert "16.0 GB are free" in error.message
    key, value = re.fullmatch(r"--set (\w+)=(\d+)", error.remedy).groups()
    assert key == field
    require_fit(study_of(settings={**settings, key: int(value)}), memory_bytes, 16e9, "are free")


@given(
    block=st.integers(1, 9),
    blocks=st.integers(100_000, 200_000),
    limit=st.floats(9e9, 3e10),
)
def test_a_depth_that_is_told_is_legal(block, blocks, limit):
    settings = {"block_size": block, "actor_depth": block * blocks, "width": 512}
    axes = {"depth": [block]}
    error = refusal(require_fit, study_of(axes, settings=settings), device_bytes, limit, "there are")
    value = int(error.remedy.split("=")[1])
    smaller = study_of(axes, settings={**settings, "actor_depth": value})
    require_fit(smaller, device_bytes, limit, "there are")


def test_level_of_an_axis_is_filtered():
    study = study_of({"width": [256, 2**15]})
    error = refusal(require_fit, study, memory_bytes, 16e9, "are free")
    condition = re.search(r"--where '(.*)'", error.remedy)[1]
    left = study_of({"width": [256, 2**15]}, where=[condition])
    assert left.axes == {"width": [256]}
    require_fit(left, memory_bytes, 16e9, "are free")


def test_seeds_of_a_program_can_be_what_is_too_much():
    many = plan_study(
        {"depth": [4]},
        preset="paper",
        seeds=8,
        settings=ENV,
        execution=Execution(seeds_per_program=8),
    )
    error = refusal(require_fit, many, device_bytes, 30e9, "there are")
    assert "seeds_per_program = 8 makes it so" in error.message
    assert error.remedy == "--seeds-per-program 5"


def test_two_fields_together():
    settings = {"width": 2**15, "replay_capacity": 10**8}
    error = refusal(require_fit, study_of(settings=settings), memory_bytes, 16e9, "are free")
    assert "no field alone" in error.message and "replay_capacity" in error.message
