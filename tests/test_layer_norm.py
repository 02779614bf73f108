"""LayerNorm: by hand, beside flax, and its gradient beside that of the formula."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import quick_jit

from crlscale.layer_norm import LayerNorm, layer_norm


def formula(x, scale, bias):
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, -1, keepdims=True)
    scale, bias = (v.reshape((1,) * (x.ndim - 1) + (-1,)) for v in (scale, bias))
    return (x - mean) / jnp.sqrt(variance + 1e-6) * scale + bias


def test_a_row_by_hand():
    """[1, 3, 5, 7]: mean 4, variance 5."""
    found = layer_norm(
        jnp.array([[1.0, 3.0, 5.0, 7.0]]), jnp.array([1.0, 2.0, 1.0, 1.0]), jnp.full(4, 0.5)
    )
    normal = np.array([-3, -1, 1, 3]) / np.sqrt(5)
    np.testing.assert_allclose(found, [normal * [1, 2, 1, 1] + 0.5], rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    offset=st.sampled_from([0.0, 3.0]),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_are_those_of_the_formula(shape, offset, seed):
    draw = np.random.default_rng(seed).standard_normal
    shapes = ((*shape, 5), (5,), (5,), (*shape, 5))
    x, scale, bias, slope = (jnp.asarray(draw(s), jnp.float32) for s in shapes)

    def both(x, scale, bias, slope):
        return [
            (value, *pull(slope))
            for value, pull in (jax.vjp(f, x + offset, scale, bias) for f in (layer_norm, formula))
        ]

    ours, theirs = quick_jit(both)(x, scale, bias, slope)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)


def test_parameters_and_values_are_those_of_flax():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((6, 8)) * 3 + 1, jnp.float32)
    parameters = LayerNorm().init(jax.random.PRNGKey(0), x)
    theirs = nn.LayerNorm().init(jax.random.PRNGKey(0), x)
    assert jax.tree.map(lambda p: (p.shape, p.dtype), parameters) == jax.tree.map(
        lambda p: (p.shape, p.dtype), theirs
    )
    moved = jax.tree.map(lambda p: p + jnp.arange(8.0) / 8, parameters)
    np.testing.assert_allclose(
        LayerNorm().apply(moved, x), nn.LayerNorm().apply(moved, x), rtol=1e-5, atol=1e-6
    )
    zero = LayerNorm(scale_init=nn.initializers.zeros)
    assert float(jnp.max(jnp.abs(zero.apply(zero.init(jax.random.PRNGKey(0), x), x)))) == 0.0


def test_rows_of_one_value_stay_finite():
    x = jnp.full((2, 4), 7.0)
    value, pull = jax.vjp(layer_norm, x, jnp.ones(4), jnp.zeros(4))
    assert float(jnp.max(jnp.abs(value))) == pytest.approx(0.0, abs=1e-3)
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in pull(jnp.ones((2, 4))))
