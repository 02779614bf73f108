"""Clipping, warm-up and Adam, worked by hand and against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit

from crlscale import optimiser
from crlscale.architecture import Architecture
from crlscale.config import RunConfig
from crlscale.program import split

PLAIN = Architecture(width=4, block_size=4)
HYPER = split(RunConfig())[1]


def tree(*values):
    return {"a": jnp.asarray(values[:2], jnp.float32), "b": {"c": jnp.asarray(values[2:], jnp.float32)}}


def steps(gradients, rate=0.5, start=(1.0, -2.0, 0.5), **hyper):
    """Parameters after each of `gradients`."""
    changed = HYPER._replace(**hyper)
    parameters, found = tree(*start), []
    moments = optimiser.begin(parameters)
    for gradient in gradients:
        parameters, moments = optimiser.step_network(
            PLAIN, parameters, tree(*gradient), moments, jnp.float32(rate), changed
        )
        found.append(np.concatenate([parameters["a"], parameters["b"]["c"]]))
    return np.array(found)


def adam(gradients, rates, start=(1.0, -2.0, 0.5)):
    """The published rule in float64."""
    p, m, v, found = np.array(start), 0.0, 0.0, []
    for index, (gradient, rate) in enumerate(zip(np.asarray(gradients, float), rates, strict=True), 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        p = p - rate * (m / (1 - 0.9**index)) / (np.sqrt(v / (1 - 0.999**index)) + 1e-8)
        found.append(p)
    return np.array(found)


GRADIENTS = [(3.0, 0.0, 4.0), (-0.3, 0.5, 0.1), (0.0, 0.02, -9.0)]


def test_the_first_step_by_hand():
    """Adam's first step is the step size, against the sign; no gradient, no step."""
    np.testing.assert_allclose(steps(GRADIENTS[:1])[0], [0.5, -2.0, 0.0], atol=1e-5)


def test_adam():
    np.testing.assert_allclose(steps(GRADIENTS), adam(GRADIENTS, [0.5] * 3), rtol=1e-4, atol=1e-5)


def test_warm_up_rises_in_equal_steps_and_ends():
    """(n + 1) / 2 of the step size at update n, never more than all of it."""
    found = steps(GRADIENTS, warmup_updates=jnp.int32(2))
    np.testing.assert_allclose(found, adam(GRADIENTS, [0.25, 0.5, 0.5]), rtol=1e-4, atol=1e-5)
    none = steps(GRADIENTS, warmup_updates=jnp.int32(0))
    assert (none == steps(GRADIENTS, warmup_updates=jnp.int32(1))).all()


def test_clipping_is_by_the_norm_of_the_whole_tree():
    """(3, 0, 4) has norm 5: at most 2 makes it (1.2, 0, 1.6); (-0.3, 0.5, 0.1) is left alone."""
    found = steps(GRADIENTS[:2], gradient_clip=jnp.float32(2.0))
    expected = adam([(1.2, 0.0, 1.6), GRADIENTS[1]], [0.5] * 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found - steps(GRADIENTS[:2])).max() > 0.05, "the second step shows the clip"


@pytest.mark.parametrize("limit", [1e-30, 1.0, 1e30])
def test_a_gradient_of_zero_stays_zero(limit):
    assert (steps([(0.0, 0.0, 0.0)], gradient_clip=jnp.float32(limit)) == [1.0, -2.0, 0.5]).all()


def test_a_gradient_that_is_no_number_is_not_hidden():
    """Divergence is found by the losses and the parameters: a clip must not repair it."""
    assert np.isnan(steps([(np.nan, 1.0, 1.0)], gradient_clip=jnp.float32(1.0))).any()


def test_a_scalar_is_warmed_up_and_never_clipped():
    hyper = HYPER._replace(gradient_clip=jnp.float32(0.1), warmup_updates=jnp.int32(4))
    value, moments = jnp.float32(1.0), optimiser.begin(jnp.float32(1.0))
    for gradient in (8.0, -0.5):
        value, moments = optimiser.step_scalar(
            value, jnp.float32(gradient), moments, jnp.float32(0.2), hyper
        )
    expected = adam([[8.0], [-0.5]], [0.05, 0.1], start=(1.0,))
    np.testing.assert_allclose(value, expected[-1][0], rtol=1e-5)


def test_one_program_for_every_limit_and_warm_up():
    """Only whether there is a limit changes the program."""
    parameters = tree(1.0, 2.0, 3.0)
    step = quick_jit(
        lambda hyper: optimiser.step_network(
            PLAIN, parameters, parameters, optimiser.begin(parameters), jnp.float32(0.1), hyper
        )[0]
    )
    for limit, warmup in ((1.0, 0), (2.0, 0), (2.0, 5)):
        jax.block_until_ready(
            step(HYPER._replace(gradient_clip=jnp.float32(limit), warmup_updates=jnp.int32(warmup)))
        )
    assert step._cache_size() == 1
    step(HYPER)
    assert step._cache_size() == 2
