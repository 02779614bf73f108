"""Conditions over config fields: what they mean, and that nothing else is understood."""

import operator
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refusal

from crlscale.conditions import parse_condition
from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError

CELL = {
    "env": "ant",
    "depth": 8,
    "actor_depth": 4,
    "critic_depth": None,
    "width": 64,
    "discount": 0.9,
    "hindsight_window": None,
    "goal_in_state": True,
}


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("actor_depth <= critic_depth", True),  # null: depth
        ("critic_depth == 8", True),
        ("depth < actor_depth", False),
        ("4 <= depth <= 16", True),
        ("4 <= depth <= 7", False),
        ("env == 'ant'", True),
        ('env in ["humanoid", "ant"]', True),
        ("env not in ['humanoid']", True),
        ("env != 'ant' or depth == 8", True),
        ("not depth == 8 and width == 64", False),
        ("not (depth == 8 and width == 1)", True),
        ("hindsight_window == null", True),
        ("hindsight_window != null", False),
        ("hindsight_window == 5", False),
        ("goal_in_state == true", True),
        ("discount > -1.5e0", True),
        ("width in [depth, 64]", True),
    ],
)
def test_meaning(text, wanted):
    condition = parse_condition(text)
    assert condition.holds(CELL) is wanted
    assert condition.fields <= CELL.keys()


ORDERS = {"<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
          ">=": operator.ge, ">": operator.gt}  # fmt: skip
NUMBERS = st.integers(-99, 99) | st.floats(-99, 99, allow_nan=False)


@st.composite
def comparisons(draw):
    """A text of comparisons, and what Python's own operators make of it."""
    depth = draw(st.integers(0, 3))
    if depth == 0 or draw(st.booleans()):
        field, other = draw(st.sampled_from(["depth", "width", "discount"])), draw(NUMBERS)
        word = draw(st.sampled_from(list(ORDERS)))
        return f"{field} {word} {other}", ORDERS[word](CELL[field], other)
    (left, one), (right, two) = draw(comparisons()), draw(comparisons())
    if draw(st.booleans()):
        return f"({left}) and ({right})", one and two
    return f"not ({left}) or {right}", (not one) or two


@given(comparisons())
def test_it_means_what_its_operators_mean(case):
    text, wanted = case
    if len(text) <= 500:
        assert parse_condition(text).holds(CELL) is wanted


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is not a text"),
        (5, "is not a text"),
        ("depth <=", "cannot be read"),
        ("depth = 4", "cannot be read"),
        ("depth <= 4; width", "cannot be read"),
        ("depth", "depth alone is not a comparison"),
        ("dpth <= 4", "near keys: depth"),
        ("env == ant", "a text stands in quotes"),
        ("__import__('os').system('true') == 0", "is neither a config field nor a value"),
        ("depth.__class__ == 4", "is neither a config field nor a value"),
        ("(lambda: 1)() == 1", "is neither a config field nor a value"),
        ("depth ** 9 ** 9 == 1", "is neither a config field nor a value"),
        ("depth == 'a' * 9", "is neither a config field nor a value"),
        ("[x for x in [1]] == [1]", "`in` takes a list"),
        ("depth is 4", "`in` takes a list"),
        ("depth in 4", "`in` takes a list"),
        ("depth == [4]", "`in` takes a list"),
        ("True", "it is not a comparison"),
        ("depth == b'4'", "is neither a config field nor a value"),
        ("depth == -'a'", "is neither a config field nor a value"),
        ("4", "it is not a comparison"),
        ("depth == 4" + " or depth == 4" * 99, "500 at most"),
        ("(" * 400 + "depth", "cannot be read"),
    ],
)
def test_what_is_not_understood_is_one_line(text, words):
    assert words in refusal(parse_condition, text).message


@pytest.mark.parametrize(
    "text, words",
    [
        ("env < 4", "have no order"),
        ("env == 4", "'ant' is a text and 4 a number"),
        ("goal_in_state == 1", "True is a truth and 1 a number"),
        ("hindsight_window < 4", "have no order"),
        ("env in ['ant', 4] and env in [4]", "is a text and 4 a number"),
    ],
)
def test_kinds_that_cannot_be_compared_are_one_line(text, words):
    assert words in refusal(parse_condition(text).holds, CELL).message


@given(st.text(alphabet=string.printable, max_size=80))
def test_any_text_is_a_condition_or_one_line(text):
    try:
        condition = parse_condition(text)
    except CrlscaleError as refused:
        assert refused.remedy
    else:
        assert condition.fields <= set(RunConfig.model_fields)
