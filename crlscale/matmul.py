"""Matrix products and those of their gradients, in the forms that XLA runs fastest.

B rows, I inputs, O outputs, R representation. docs/performance.md has what each form costs.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

EXACT = jax.lax.Precision.HIGHEST


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def matmul(x: jax.Array, kernel: jax.Array, mixed: bool = False) -> jax.Array:
    """x [..., I] times kernel [I, O] -> [..., O], float32. `mixed`: the inputs of this product and of the
    two of its gradient are rounded to bfloat16; what they give is added up in float32 all the same."""
    return _product(*_rounded(mixed, x, kernel), 0)


def _forward(x, kernel, mixed):
    return matmul(x, kernel, mixed), (x, kernel)


def _backward(mixed, inputs, slope):
    x, kernel, slope = _rounded(mixed, *inputs, slope)
    rows, slopes = x.reshape(-1, x.shape[-1]), slope.reshape(-1, slope.shape[-1])
    return _product(slope, kernel, 1), _product(_transposed(rows), slopes, 0)


matmul.defvjp(_forward, _backward)


@jax.custom_vjp
def inner_products(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """Of every row of phi [B, R] with every row of psi [C, R] -> [B, C]; these and their gradient are
    never rounded to the TF32 of GPUs."""
    return _product(phi, psi, 1, EXACT)


def _pairs_backward(inputs, slope):
    phi, psi = inputs
    return _product(slope, psi, 0, EXACT), _transposed(_product(_transposed(phi), slope, 0, EXACT))


inner_products.defvjp(lambda phi, psi: (inner_products(phi, psi), (phi, psi)), _pairs_backward)


def _rounded(mixed, *arrays):
    return [x.astype(jnp.bfloat16) for x in arrays] if mixed else arrays


def _product(x, y, axis, precision=None):
    """The last axis of x against `axis` of y [., .]."""
    dimensions = (((x.ndim - 1,), (axis,)), ((), ()))
    return jax.lax.dot_general(x, y, dimensions, precision, jnp.float32)


def _transposed(rows):
    """[B, I] -> [I, B]. XLA folds a plain transpose into the product, and on CPUs has neither bfloat16
    nor its faster float32 routine for what comes of that."""
    if jax.default_backend() != "cpu" or len(rows) % 2:
        return rows.T
    with set_xla_metadata(inlineable="false"):
        return _turn(rows)


@jax.jit
def _turn(rows):
    """A transpose that XLA does not know for one, and, as a call that is not inlined, does not fuse with
    what makes `rows`: it would make that again for each number, column by column."""
    count, size = rows.shape
    return rows.reshape(count // 2, 2, size).transpose(2, 0, 1).reshape(size, count)
