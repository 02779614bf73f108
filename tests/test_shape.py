"""Runs said to be of equal shape have equal Programs, and what is said to be free changes none."""

import jax
import pytest
from test_config import AROUND, GIVEN, VARIED

from crlscale.config import RunConfig
from crlscale.program import split
from crlscale.shape import FREE, shape


@pytest.mark.parametrize("field", RunConfig.model_fields)
def test_a_field_is_free_or_counts(field):
    given = {**GIVEN, **AROUND.get(field, {})}
    base, varied = RunConfig(**given), RunConfig(**{**given, field: VARIED[field][0]})
    same_program = split(base)[0] == split(varied)[0]
    if shape(base) == shape(varied):
        assert same_program
    if field in FREE and field != "protocol":
        assert same_program and shape(base) == shape(varied)
    if VARIED[field][1] == "program":
        assert shape(base) != shape(varied)


def test_limits_of_the_gradient_share_a_program_and_no_limit_is_another():
    tight, loose, off = (RunConfig(**GIVEN, gradient_clip=limit) for limit in (0.5, 1.0, None))
    assert shape(tight) == shape(loose) != shape(off)
    structures = [jax.tree.structure(split(config)) for config in (tight, loose, off)]
    assert structures[0] == structures[1] != structures[2]


def test_depth_said_in_other_words_is_the_same_shape():
    base = {**GIVEN, "depth": 8}
    other = {**GIVEN, "depth": 4, "actor_depth": 8, "critic_depth": 8}
    assert shape(RunConfig(**base)) == shape(RunConfig(**other))
    assert split(RunConfig(**base))[0] == split(RunConfig(**other))[0]
