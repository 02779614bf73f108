"""The product of a layer and its gradient: values, precision, and what XLA makes of it."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import quick_jit

from crlscale.agents.energies import squared_distances
from crlscale.matmul import inner_products, matmul

SIZES = st.integers(1, 9)


def arrays(*shapes):
    draw = np.random.default_rng(0).standard_normal
    return [jnp.asarray(draw(shape), jnp.float32) for shape in shapes]


def pulled(mixed, x, kernel, slope):
    """The product, and the gradients that `slope` gives its inputs."""
    product, pull = jax.vjp(partial(matmul, mixed=mixed), x, kernel)
    return product, *pull(slope)


@settings(max_examples=25, deadline=None)
@given(leading=st.lists(SIZES, max_size=2), inputs=SIZES, outputs=SIZES, mixed=st.booleans())
def test_products_and_gradients_are_those_of_numpy(leading, inputs, outputs, mixed):
    """Even and odd numbers of rows, no and several leading axes; mixed within bfloat16's 8 bits."""
    x, kernel, slope = arrays((*leading, inputs), (inputs, outputs), (*leading, outputs))
    found = quick_jit(partial(pulled, mixed))(x, kernel, slope)
    x, kernel, slope = (np.asarray(a, np.float64) for a in (x, kernel, slope))
    rows, slopes = x.reshape(-1, inputs), slope.reshape(-1, outputs)
    expected = (x @ kernel, slope @ kernel.T, rows.T @ slopes)
    sizes = (
        np.abs(x) @ np.abs(kernel),
        np.abs(slope) @ np.abs(kernel.T),
        np.abs(rows).T @ np.abs(slopes),
    )
    for got, want, size in zip(found, expected, sizes, strict=True):
        assert got.dtype == jnp.float32 and got.shape == want.shape
        assert np.all(np.abs(got - want) <= size * (2**-7 if mixed else 1e-6) + 1e-12)


def test_mixed_rounds_what_goes_in_and_adds_up_in_float32():
    """By hand: 1 + 2^-9 rounds to 1 in bfloat16; 256 products of 1 and one of 2^-3 need 12 bits."""
    row = jnp.ones((1, 257)).at[0, 0].set(1 + 2**-9)
    kernel = jnp.ones((257, 1)).at[-1, 0].set(2**-3)
    assert float(matmul(row, kernel, True)[0, 0]) == 256.125
    assert float(matmul(row, kernel)[0, 0]) == 256.125 + 2**-9


@settings(max_examples=15, deadline=None)
@given(rows=SIZES, columns=SIZES, size=SIZES)
def test_inner_products_and_their_gradients_are_those_of_numpy(rows, columns, size):
    phi, psi, slope = arrays((rows, size), (columns, size), (rows, columns))
    product, pull = jax.vjp(inner_products, phi, psi)
    found = (product, *pull(slope))
    phi, psi, slope = (np.asarray(a, np.float64) for a in (phi, psi, slope))
    for got, want in zip(found, (phi @ psi.T, slope @ psi, slope.T @ phi), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_a_seed_in_a_program_of_several_gets_what_it_gets_alone():
    x, kernel, slope = arrays((3, 4, 5), (3, 5, 6), (3, 4, 6))
    together = quick_jit(jax.vmap(partial(pulled, False)))(x, kernel, slope)
    alone = [quick_jit(partial(pulled, False))(*each) for each in zip(x, kernel, slope, strict=True)]
    for one, many in zip(zip(*alone, strict=True), together, strict=True):
        np.testing.assert_allclose(np.stack(one), many, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="says what the CPU part of XLA does")
@pytest.mark.parametrize("mixed", [False, True])
def test_no_product_is_left_to_the_slow_routines(mixed):
    """Of the compiled program, where x is made by something that could be fused: three products of
    plain matrices (rows against columns, or rows against rows), in bfloat16 if mixed; and x is turned
    by itself, not made once more for each number that is turned."""
    x, kernel, slope = arrays((64, 64), (64, 64), (64, 64))

    def gradients(x, kernel, slope):
        return pulled(mixed, jax.nn.swish(x), kernel, slope)

    text = jax.jit(gradients).lower(x, kernel, slope).compile().as_text()
    dots = re.findall(r"= f32\[64,64\]\S* dot\(.*lhs_contracting_dims=\{(\d)\}", text)
    assert dots == ["1", "1", "1"]
    into = re.findall(r"%fused_computation\S* \(\S+ (\w+)\[64,64\], \S+ (\w+)\[64,64\]\) -> f32", text)
    assert into.count(("bf16", "bf16")) == (3 if mixed else 0)
    turned = [body for body in re.findall(r"\{\n(.*?)\n\}", text, re.S) if " transpose(" in body]
    assert turned and not any("exponential" in body for body in turned)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="says what the CPU part of XLA does")
def test_energies_are_made_and_pulled_by_the_quick_routines():
    """No transpose is folded into one of the three products, which makes it several times as slow."""
    phi, psi, slope = arrays((64, 16), (64, 16), (64, 64))

    def gradients(phi, psi, slope):
        squared, pull = jax.vjp(squared_distances, phi, psi)
        return squared, *pull(slope)

    text = jax.jit(gradients).lower(phi, psi, slope).compile().as_text()
    dots = re.findall(r" dot\(.*lhs_contracting_dims=\{(\d)\}", text)
    assert len(dots) >= 3 and set(dots) == {"1"}
