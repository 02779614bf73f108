"""The variants of the networks: each against a forward pass in numpy, counts, and program size."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations, quick_jit
from scipy import special

from crlscale import optimiser
from crlscale.agents import crl
from crlscale.architecture import Architecture, block_shape
from crlscale.config import RunConfig
from crlscale.networks import Encoder, Trunk, on_sphere, unit_rows
from crlscale.program import split

W, INPUTS, BATCH = 6, 5, 3
PUBLISHED = Architecture(width=W, block_size=4)
VARIANTS = {
    "published": {},
    "no residual": {"residual": False},
    "no norm": {"layer_norm": False},
    "relu": {"activation": "relu"},
    "scaled": {"residual_scale": "inverse_sqrt"},
    "zero": {"zero_init": True},
    "zero, no norm": {"zero_init": True, "layer_norm": False},
    "scaled zero": {"residual_scale": "inverse_sqrt", "zero_init": True},
    "pre": {"norm_order": "pre"},
    "pre scaled zero": {"norm_order": "pre", "residual_scale": "inverse_sqrt", "zero_init": True},
    "blocks of 2": {"block_size": 2},
    "sphere": {"hyperspherical": True},
    "sphere, relu": {"hyperspherical": True, "activation": "relu"},
}


def variant(name, **more):
    return dataclasses.replace(PUBLISHED, **{**VARIANTS[name], **more})


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def shapes(net, inputs=INPUTS):
    return jax.eval_shape(net.init, jax.random.PRNGKey(0), jnp.zeros((1, inputs)))


def anything(net):
    """Random values in every parameter, those that start at zero or one too; no compile."""
    leaves, tree = jax.tree.flatten(shapes(net))
    return tree.unflatten([0.6 * normal(index, *x.shape) for index, x in enumerate(leaves)])


# --- forward, in numpy, written from the definitions --------------------------------------
def activate(shape, x):
    return np.maximum(x, 0) if shape.activation == "relu" else x * special.expit(x)


def norm(p, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * p["scale"] + p["bias"]


def sphere(x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def layer(shape, p, x, inside):
    dense = lambda x: x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]  # noqa: E731
    if shape.hyperspherical:
        return sphere(activate(shape, sphere(dense(x)) * p["scale"]))
    if not shape.layer_norm:
        return activate(shape, dense(x))
    if shape.norm_order == "pre" and inside:
        return activate(shape, dense(norm(p["LayerNorm_0"], x)))
    return activate(shape, norm(p["LayerNorm_0"], dense(x)))


def trunk(shape, depth, parameters, x):
    """-> features, streams after each block, what each block added."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), parameters["params"])
    blocks, layers = block_shape(depth, shape.block_size)
    x = layer(shape, p["first"], np.asarray(x, np.float64), inside=False)
    streams, branches = [], []
    kind = "SphereLayer" if shape.hyperspherical else "Layer"
    for block in range(blocks):
        one = jax.tree.map(lambda leaf, k=block: leaf[k], p["blocks"])
        before, y = x, x
        for index in range(layers):
            y = layer(shape, one[f"{kind}_{index}"], y, inside=True)
        if shape.hyperspherical:
            x = sphere((1 - one["interpolation"]) * x + one["interpolation"] * y)
        elif not shape.residual:
            x = y
        else:
            x = x + (y / np.sqrt(blocks) if shape.residual_scale == "inverse_sqrt" else y)
        streams.append(x)
        branches.append(x - before if shape.residual else y)
    return x, streams, branches


def mean_norms(rows):
    return [np.linalg.norm(x, axis=-1).mean() for x in rows]


@pytest.mark.parametrize("depth", [2, 8])
@pytest.mark.parametrize("name", VARIANTS)
def test_forward_equals_numpy(name, depth):
    """Features, and the norms that a diagnosis asks for."""
    shape = variant(name)
    net = Trunk(depth, shape)
    parameters, x = anything(net), normal(9, BATCH, INPUTS)
    features, sown = quick_jit(partial(net.apply, mutable=["intermediates"]))(parameters, x)
    expected, streams, branches = trunk(shape, depth, parameters, x)
    np.testing.assert_allclose(features, expected, rtol=2e-4, atol=2e-4)
    blocks = sown["intermediates"]["blocks"]
    np.testing.assert_allclose(blocks["stream_norm"][0], mean_norms(streams), rtol=1e-3)
    np.testing.assert_allclose(blocks["branch_norm"][0], mean_norms(branches), rtol=1e-3)


def test_variants_are_variants():
    """Depth 8, two blocks, the same input, fresh parameters from one key."""
    x, found = normal(9, BATCH, INPUTS), {}
    for name in VARIANTS:
        net = Trunk(8, variant(name))
        init = quick_jit(lambda key, net=net: net.apply(net.init(key, x), x))
        found[name] = np.asarray(init(jax.random.PRNGKey(0)))
    rounded = {name: np.round(features, 4).tobytes() for name, features in found.items()}
    alike = {"zero", "scaled zero"}  # what adds nothing at first has no scale at first
    assert len(set(rounded.values())) == len(VARIANTS) - 2
    assert rounded["zero"] == rounded["scaled zero"] == rounded["pre scaled zero"], alike


# --- what each is for ----------------------------------------------------------------------
@pytest.mark.parametrize("name", [name for name in VARIANTS if "zero" in name])
def test_blocks_of_zero_are_the_identity_and_learn(name):
    """At any depth the fresh trunk is its first layer; every block's last layer has a gradient."""
    net = Trunk(16, variant(name))
    x, slope = normal(9, BATCH, INPUTS), normal(8, BATCH, W)

    @quick_jit
    def run(key):
        parameters = net.init(key, x)
        loss = lambda p: jnp.sum(slope * net.apply(p, x))  # noqa: E731
        return parameters, net.apply(parameters, x), jax.grad(loss)(parameters)

    parameters, features, gradient = run(jax.random.PRNGKey(0))
    own = jax.tree.map(np.asarray, parameters["params"]["first"])
    first = layer(variant(name), own, x, inside=False)
    np.testing.assert_allclose(features, first, rtol=1e-4, atol=1e-5)
    last = gradient["params"]["blocks"]["Layer_3"]
    part = (
        last["LayerNorm_0"]["scale"] if name in ("zero", "scaled zero") else last["Dense_0"]["kernel"]
    )
    assert (np.abs(part).reshape(4, -1).max(-1) > 1e-3).all()


@pytest.mark.parametrize("name", ["zero", "pre scaled zero"])
def test_one_small_step_stays_small(name):
    """The reason why a LayerNorm's scale starts at zero and not the kernel before it: after a step of
    1e-3 in every parameter the features of 16 blocks have moved by a few percent."""
    net = Trunk(64, variant(name, width=32))
    x = normal(9, BATCH, INPUTS)

    @quick_jit
    def run(key):
        p = net.init(key, x)
        moved = jax.tree.map(lambda leaf: leaf + 1e-3, p)
        return net.apply(p, x), net.apply(moved, x)

    before, after = run(jax.random.PRNGKey(0))
    assert 0 < np.linalg.norm(after - before) < 0.2 * np.linalg.norm(before)


def growth(name, depth, width=32):
    """Norm of the stream after the last block over that after the first, fresh parameters."""
    net = Trunk(depth, variant(name, width=width))
    x = normal(9, 16, INPUTS)
    run = quick_jit(lambda key: net.apply(net.init(key, x), x, mutable=["intermediates"])[1])
    stream = run(jax.random.PRNGKey(0))["intermediates"]["blocks"]["stream_norm"][0]
    return float(stream[-1] / stream[0])


def test_how_the_stream_grows_with_depth():
    """As published each block adds alike, so 64 blocks grow it many times more than 8; with
    1 / sqrt(K) the growth is that of sqrt(K); blocks of zero and spheres do not grow."""
    assert growth("published", 256) > 4 * growth("published", 32) > 8
    assert growth("scaled", 256) < 0.5 * growth("published", 256)
    for name in ("zero", "scaled zero", "sphere"):
        assert growth(name, 256) == pytest.approx(1, abs=0.05), name


# --- spheres -------------------------------------------------------------------------------
def test_unit_rows_by_hand():
    """The incoming weights of each unit: column (3, 4) of [in, out] becomes (0.6, 0.8)."""
    kernel = jnp.array([[3.0, 0.0], [4.0, -2.0]])
    np.testing.assert_allclose(unit_rows(kernel), [[0.6, 0.0], [0.8, -1.0]], rtol=1e-6)
    stacked = jnp.stack([kernel, 7 * kernel])
    np.testing.assert_allclose(unit_rows(stacked), [unit_rows(kernel)] * 2, rtol=1e-6)


def test_on_sphere_by_hand():
    """(3, 4) has norm 5; on the sphere of radius sqrt(2) it is (3, 4) sqrt(2) / 5."""
    np.testing.assert_allclose(on_sphere(jnp.array([[3.0, 4.0]])), [[0.848528, 1.131371]], rtol=1e-5)
    gradient = jax.grad(lambda x: jnp.sum(on_sphere(x)))(jnp.zeros((1, 4)))
    assert np.isfinite(gradient).all()


def test_rows_have_norm_one_before_and_after_a_step():
    shape = variant("sphere")
    net = Encoder(8, shape, 7)
    hyper = split(RunConfig())[1]

    def rows(parameters):
        kernels = [
            leaf for path, leaf in jax.tree.leaves_with_path(parameters) if path[-1].key == "kernel"
        ]
        assert len(kernels) == 6, "first, four of the block, head"
        return np.concatenate([np.linalg.norm(k, axis=-2).ravel() for k in kernels])

    @quick_jit
    def run(key):
        before = net.init(key, jnp.zeros((1, INPUTS)))
        gradient = jax.tree.map(lambda leaf: jnp.cos(1e3 * leaf), before)
        moments = optimiser.begin(before)
        rate = jnp.float32(0.1)
        return before, optimiser.step_network(shape, before, gradient, moments, rate, hyper)[0]

    before, after = run(jax.random.PRNGKey(0))
    np.testing.assert_allclose(rows(before), 1, rtol=1e-5)
    np.testing.assert_allclose(rows(after), 1, rtol=1e-5)
    for (path, old), new in zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True):
        assert (old != new).any(), jax.tree_util.keystr(path)


def test_blocks_on_spheres_begin_as_small_steps():
    """The learned share of K blocks starts at 1 / (K + 1)."""
    net = Trunk(16, variant("sphere"))
    parameters = quick_jit(net.init)(jax.random.PRNGKey(0), jnp.zeros((1, INPUTS)))
    np.testing.assert_allclose(parameters["params"]["blocks"]["interpolation"], np.full((4, W), 0.2))


# --- counts and programs -------------------------------------------------------------------
@pytest.mark.parametrize("depth", [1, 2, 8, 1024])
@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_counts(name, depth):
    """What the plan counts are the sizes of the arrays."""
    shape = variant(name)
    counted = sum(leaf.size for leaf in jax.tree.leaves(shapes(Trunk(depth, shape))))
    assert shape.trunk_parameters(INPUTS, depth) == counted


def test_a_count_by_hand():
    """Width 6, 5 inputs, depth 2 (one block). On spheres: 30 + 6 + 6, twice 36 + 6 + 6, share 6.
    Without a norm: 30 + 6, twice 36 + 6."""
    assert variant("sphere").trunk_parameters(5, 2) == 42 + 96 + 6
    assert variant("no norm").trunk_parameters(5, 2) == 36 + 84


@pytest.mark.parametrize("name", VARIANTS)
def test_the_program_of_an_update_does_not_grow_with_depth(name):
    """Every variant runs its blocks under one scan: as many equations at depth 64 as at 8."""
    counts = []
    for depth in (8, 64):
        program = split(RunConfig(depth=depth, width=W, **VARIANTS[name]))[0]
        nets = crl.networks(program, 2)
        begin = partial(crl.init, nets, state_size=3, action_size=2, goal_size=2)
        agent = jax.eval_shape(begin, jax.random.PRNGKey(0))
        states, goals = jnp.zeros((4, 3)), jnp.zeros((4, 2))
        steps = jnp.ones(4, jnp.int32)
        batch = crl.Batch(states, goals, goals, steps, steps, steps.astype(jnp.int8))
        hyper = split(RunConfig(gradient_clip=1.0, warmup_updates=10))[1]
        traced = jax.make_jaxpr(partial(crl.update, nets))(agent, batch, jax.random.PRNGKey(0), hyper)
        counts.append(sum(1 for _ in equations(traced)))
    assert counts[0] == counts[1] > 100
