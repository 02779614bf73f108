"""Settings and levels as they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crlscale.cli.settings import parse_levels, parse_settings, powers_of_two
from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.settings import make_config


def refusal(function, *arguments) -> CrlscaleError:
    with pytest.raises(CrlscaleError) as refused:
        function(*arguments)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    return refused.value


@pytest.mark.parametrize(
    "text, value",
    [
        ("width=64", 64),
        (" width = 64 ", 64),
        ("width=1e3", 1000),
        ("env_steps=1_000_000", 1_000_000),
        ("env_steps=2.5e5", 250_000),
        ("discount=0.98", 0.98),
        ("actor_learning_rate=3e-4", 3e-4),
        ("target_entropy=-0.5", -0.5),
        ("env=point_u_maze", "point_u_maze"),
        ('env="point_u_maze"', "point_u_maze"),
        ("precision=mixed", "mixed"),
        ("goal_set=null", None),
        ("actor_depth=None", None),
        ("actor_depth=8.0", 8),
    ],
)
def test_value_as_it_is_typed(text, value):
    (found,) = parse_settings([text]).values()
    assert (found, type(found)) == (value, type(value))
    make_config(parse_settings([text]))  # and it is legal


def test_settings_in_one_dict():
    assert parse_settings(["width=64", "discount=0.9"]) == {"width": 64, "discount": 0.9}
    assert parse_settings([]) == {}


@pytest.mark.parametrize("field", RunConfig.model_fields)
def test_every_field_can_be_set_to_its_default(field):
    default = RunConfig.model_fields[field].default
    text = f"{field}={'null' if default is None else default}"
    assert parse_settings([text]) == {field: default}


@pytest.mark.parametrize(
    "text, words",
    [
        ("widht=64", "unknown config key 'widht'; near keys: width"),
        ("=64", "unknown config key ''"),
        ("width", "has no '='"),
        ("", "has no '='"),
    ],
)
def test_what_is_no_setting_is_one_line(text, words):
    assert words in refusal(parse_settings, [text]).message


@pytest.mark.parametrize(
    "text",
    [
        *("width=wide", "width=1.5", "width=true", "width=null", "width=", "width=[64]", "width={a=1}"),
        *("width=-4", "width=0", "width='64'", "width=2026-01-01", "width=inf", "width=nan"),
        *("discount=high", "discount=1.0", "discount=0", "discount=nan", "discount=true"),
        *("env=5", "env=", "env=null", "precision=float16", "goal_set=nearby", "batch_size=1"),
        *("actor_learning_rate=inf", "actor_learning_rate=-1", "prefill_steps=1e9", "depth=6"),
    ],
)
def test_value_of_the_wrong_kind_is_one_line_that_names_the_key(text):
    error = refusal(make_config, parse_settings([text]))
    assert text.split("=")[0] in str(error)


@pytest.mark.parametrize("text, levels", [("4", [4]), ("4,8,12", [4, 8, 12]), (" 8, 4 ", [8, 4])])
def test_levels(text, levels):
    assert parse_levels("--levels", text) == levels


@pytest.mark.parametrize("text", ["", "4,", "4;8", "4,x", "4.5", "2-8"])
def test_what_is_no_list_of_levels_is_one_line(text):
    error = refusal(parse_levels, "--widths", text)
    assert "--widths" in error.message and error.remedy == "--widths 4,8,12"


@given(st.integers(0, 20), st.integers(0, 20))
def test_powers_of_two_from_low_to_high(a, b):
    low, high = sorted((a, b))
    assert powers_of_two(2**low, 2**high) == [2**n for n in range(low, high + 1)]


@pytest.mark.parametrize(
    "low, high, words, remedy",
    [
        (8, 2, "--min 8 is above --max 2", "--min 2 --max 8"),
        (3, 8, "--min 3 is not a power of two", "--min 4"),
        (2, 9, "--max 9 is not a power of two", "--max 16"),
        (0, 8, "--min 0 is not a power of two", "--min 1"),
        (-4, 8, "--min -4 is not a power of two", "--min 1"),
    ],
)
def test_bounds_that_span_nothing_are_one_line(low, high, words, remedy):
    error = refusal(powers_of_two, low, high)
    assert error.message == words and remedy in error.remedy
