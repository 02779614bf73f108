"""Depth and width: parameter counts, a scanned trunk against an unrolled one, program size."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations, quick_jit

from crlscale.architecture import Architecture, block_shape
from crlscale.networks import Actor, Encoder, Trunk

INPUTS, WIDTH, BATCH = 5, 6, 3

DEPTHS = (1, 2, 3, 4, 8)


def make(kind, depth, precision="float32", width=WIDTH, **sizes):
    return kind(depth, Architecture(width=width, block_size=4, precision=precision), **sizes)


def fresh(net, seed=0, inputs=INPUTS):
    return net.init(jax.random.PRNGKey(seed), jnp.zeros((1, inputs)))


def anything(net, inputs=INPUTS):
    """Random values in every parameter (biases and scales too), numpy; no compile."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(partial(fresh, net, inputs=inputs))
    return jax.tree.map(lambda x: normal(rng, *x.shape) * 0.4, shapes)


def normal(rng, *shape):
    return np.asarray(rng.standard_normal(shape), np.float32)


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


# --- an unrolled trunk in plain numpy-style code -----------------------------------------
def layer(p, x):
    x = x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"].reshape(1, -1)
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    x = (x - mean) / jnp.sqrt(variance + 1e-6)
    x = x * p["LayerNorm_0"]["scale"].reshape(1, -1) + p["LayerNorm_0"]["bias"].reshape(1, -1)
    return x / (1 + jnp.exp(-x))


def unrolled(parameters, x, depth):
    """First layer, then blocks of 4 (one shorter block below depth 4), input added after the last
    activation of each."""
    trunk = parameters["params"]
    x = layer(trunk["first"], x)
    for block in range(max(1, depth // 4)):
        y = x
        for index in range(min(depth, 4)):
            one = jax.tree.map(lambda p, b=block: p[b], trunk["blocks"][f"Layer_{index}"])
            y = layer(one, y)
        x = x + y
    return x


@pytest.mark.parametrize("depth", DEPTHS)
def test_scanned_equals_unrolled(depth):
    """traps 8, 22: forward and gradient, on the same parameters; depths 1 to 3 have a trunk."""
    net = make(Trunk, depth)
    parameters, rng = anything(net), np.random.default_rng(2)
    x, weight = normal(rng, BATCH, INPUTS), normal(rng, BATCH, WIDTH)

    @quick_jit
    def both(parameters, x):
        def through(forward):
            def loss(p, x):
                y = forward(p, x)
                return jnp.sum(weight * y), y

            return jax.grad(loss, (0, 1), has_aux=True)(parameters, x)

        return through(net.apply), through(lambda p, x: unrolled(p, x, depth))

    (ours, y), (theirs, same) = both(parameters, x)
    np.testing.assert_allclose(y, same, rtol=2e-4, atol=2e-5)
    for (path, a), b in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4, err_msg=jax.tree_util.keystr(path))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(ours)), "every parameter is used"


def trunk_parameters(depth, width, inputs):
    """Kernel and bias, and LayerNorm's scale and bias, of one input layer and `depth` others."""
    return inputs * width + 3 * width + depth * (width * width + 3 * width)


@pytest.mark.parametrize("depth", [*DEPTHS, 64, 1024])
def test_parameter_counts(depth):
    """trap 8: every Dense layer of the trunk is there; nothing else grows with depth."""
    parameters = jax.eval_shape(partial(fresh, make(Trunk, depth)))
    assert count(parameters) == trunk_parameters(depth, WIDTH, INPUTS)
    encoder = jax.eval_shape(partial(fresh, make(Encoder, depth, representation_size=7)))
    assert count(encoder) == trunk_parameters(depth, WIDTH, INPUTS) + 7 * WIDTH + 7
    actor = jax.eval_shape(partial(fresh, make(Actor, depth, action_size=2)))
    assert count(actor) == trunk_parameters(depth, WIDTH, INPUTS) + 2 * (2 * WIDTH + 2)


def test_a_count_worked_by_hand():
    """Depth 2, width 6, 5 inputs: 30 + 18 in, twice 36 + 18, head 6 * 7 + 7."""
    encoder = jax.eval_shape(partial(fresh, make(Encoder, 2, representation_size=7)))
    assert count(encoder) == 48 + 108 + 49


def test_blocks():
    """trap 8: below the block size one block of that many layers."""
    assert [block_shape(d, 4) for d in (1, 2, 3, 4, 8, 1024)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 4),
        (256, 4),
    ]
    assert block_shape(6, 2) == (3, 2) and block_shape(5, 1) == (5, 1)


def test_initial_values():
    """Kernels uniform with variance 1 / (3 fan_in), every block drawn apart; biases 0, scales 1."""
    width, inputs = 128, 30
    net = make(Actor, 16, width=width, action_size=40)
    parameters = quick_jit(partial(fresh, net, inputs=inputs))()["params"]
    kernels = {"first": parameters["trunk"]["first"]["Dense_0"]["kernel"]}
    kernels |= {head: parameters[head]["kernel"] for head in ("mean", "log_std")}
    for index in range(4):
        stacked = parameters["trunk"]["blocks"][f"Layer_{index}"]["Dense_0"]["kernel"]
        assert stacked.shape == (4, width, width)
        kernels |= {f"block {k} layer {index}": stacked[k] for k in range(4)}
    for name, kernel in kernels.items():
        fan_in = inputs if name == "first" else width
        bound = np.sqrt(1 / fan_in)  # of a uniform of variance 1 / (3 fan_in)
        assert np.abs(kernel).max() <= bound * 1.0001, name
        np.testing.assert_allclose(np.var(kernel), 1 / (3 * fan_in), rtol=0.06, err_msg=name)
        np.testing.assert_allclose(np.abs(kernel).mean(), bound / 2, rtol=0.04, err_msg=name)
    flat = np.stack([np.ravel(k)[:1000] for k in kernels.values()])
    assert np.abs(np.corrcoef(flat) - np.eye(len(flat))).max() < 0.2, "no two kernels share a key"
    for path, leaf in jax.tree.leaves_with_path(parameters):
        name = jax.tree_util.keystr(path)
        if "bias" in name:
            assert (leaf == 0).all(), name
        if "scale" in name:
            assert (leaf == 1).all(), name


def test_actor_s_log_std_is_bounded():
    """-5 + 3.5 (tanh + 1): -1.5 at 0, never outside [-5, 2]."""
    net = make(Actor, 1, action_size=2)
    parameters = anything(net)["params"]
    x = normal(np.random.default_rng(1), 8, INPUTS)
    apply = jax.jit(net.apply)
    for raw in (0.0, 0.7, 50.0, -50.0):
        head = {"kernel": np.zeros((WIDTH, 2), np.float32), "bias": np.full(2, raw, np.float32)}
        mean, log_std = apply({"params": {**parameters, "log_std": head}}, x)
        np.testing.assert_allclose(log_std, np.full((8, 2), -5 + 3.5 * (np.tanh(raw) + 1)), atol=1e-6)
        assert log_std.min() >= -5 and log_std.max() <= 2
        assert mean.shape == (8, 2) and np.ptp(mean) > 0


def test_no_norm_on_the_embedding():
    """The head is linear: twice its kernel and bias is twice the embedding."""
    net = make(Encoder, 1, representation_size=7)
    parameters = anything(net)["params"]
    x = normal(np.random.default_rng(1), BATCH, INPUTS)
    doubled = {**parameters, "head": jax.tree.map(lambda p: 2 * p, parameters["head"])}
    apply = jax.jit(net.apply)
    once, twice = apply({"params": parameters}, x), apply({"params": doubled}, x)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5, atol=1e-6)


# --- precision --------------------------------------------------------------------------
def test_mixed_precision_changes_the_program_and_stays_near():
    """trap 9: bfloat16 into every matmul, float32 out of it; values within a few bfloat16 steps."""
    x = normal(np.random.default_rng(1), 16, INPUTS)
    full = make(Encoder, 2, width=32, representation_size=8)
    mixed = make(Encoder, 2, precision="mixed", width=32, representation_size=8)
    parameters = anything(full)
    assert jax.tree.structure(parameters) == jax.tree.structure(anything(mixed))

    def loss(net, p):
        y = net.apply(p, x)
        return jnp.mean(y**2), y

    def run(net):
        gradient = quick_jit(jax.grad(partial(loss, net), has_aux=True))
        matmuls = [
            [v.aval.dtype.name for v in (*e.invars, *e.outvars)]
            for e in equations(jax.make_jaxpr(net.apply)(parameters, x))
            if e.primitive.name == "dot_general" and e.outvars[0].aval.shape[-1] > 1  # no means of rows
        ]
        return matmuls, gradient(parameters)

    (wide, (exact, a)), (narrow, (near, b)) = run(full), run(mixed)
    assert len(wide) == len(narrow) == 4, "first layer, two layers, head"
    assert {tuple(types) for types in wide} == {("float32", "float32", "float32")}
    assert {tuple(types) for types in narrow} == {("bfloat16", "bfloat16", "float32")}
    assert a.dtype == b.dtype == jnp.float32
    assert (a != b).any()
    np.testing.assert_allclose(a, b, atol=0.05 * float(np.std(a)))
    for one, two in zip(jax.tree.leaves(exact), jax.tree.leaves(near), strict=True):
        assert two.dtype == jnp.float32
        assert np.linalg.norm(one - two) < 0.05 * np.linalg.norm(one)
