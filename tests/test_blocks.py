"""Norms block by block: against a forward pass, a gradient and a step made otherwise, for every method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit

from crlscale import blocks, train
from crlscale.agents import crl
from crlscale.agents.interface import algorithm
from crlscale.config import RunConfig
from crlscale.counts import trained_blocks
from crlscale.methods import METHODS
from crlscale.networks import Trunk
from crlscale.program import split

SIZES = {
    **{"env": "chain_2", "width": 6, "representation_size": 4, "batch_size": 8, "num_envs": 4},
    **{"unroll_length": 10, "episode_length": 25, "prefill_steps": 50, "replay_capacity": 100},
}
BATCH, STATE, ACTION, GOAL = 8, 5, 2, 3


def config_of(agent="crl", **more):
    return RunConfig(agent=agent, depth=8, block_size=4, **{**SIZES, **more})


def made(agent="crl", **more):
    """Kernel and traced settings of a tiny run."""
    program, hyper = split(config_of(agent, **more))
    return train._Kernel(program), hyper


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def crl_batch():
    steps = jnp.ones(BATCH, jnp.int32)
    action = jnp.tanh(normal(1, BATCH, ACTION))
    return crl.Batch(
        normal(0, BATCH, STATE), action, normal(2, BATCH, GOAL), steps, steps, steps.astype(jnp.int8)
    )


@pytest.fixture(scope="module")
def measured():
    """A CRL agent after three updates, its norms from one batch with a tight limit of the gradient, and
    the agent after the very update that they are of."""
    kernel, hyper = made(gradient_clip=1e-2)
    nets, batch, key = kernel.nets, crl_batch(), jax.random.PRNGKey(5)

    @quick_jit
    def run(rng):
        agent = crl.init(nets, rng, STATE, ACTION, GOAL)
        update = lambda _, a: crl.update(nets, a, batch, rng, hyper)[0]  # noqa: E731
        agent = jax.lax.fori_loop(0, 3, update, agent)
        noise = jax.random.normal(key, batch.action.shape)
        psi = nets.goal.apply(agent.critic.goal, batch.goal)
        alpha = jnp.exp(agent.log_alpha)
        loss = lambda p: crl.actor_loss(nets, p, agent.critic, psi, alpha, batch, noise)[0]  # noqa: E731
        return (
            agent,
            crl.update(nets, agent, batch, key, hyper)[0],
            jax.grad(loss)(agent.actor),
            blocks.measure(crl, nets, agent, batch, key, hyper),
        )

    return kernel, jax.tree.map(np.asarray, run(jax.random.PRNGKey(0)))


def stacked(network):
    """The parameters of each block [K, any] as one row."""
    leaves = jax.tree.leaves(network["params"]["trunk"]["blocks"])
    return np.concatenate([np.asarray(x, np.float64).reshape(len(x), -1) for x in leaves], axis=1)


def test_parameters_gradient_and_step_of_the_actor(measured):
    """The gradient is that of the loss, without the limit; the step is that of the agent's own update,
    with it and with its moments."""
    _, (agent, stepped, gradient, found) = measured
    norms, before, after = found["actor"], stacked(agent.actor), stacked(stepped.actor)
    np.testing.assert_allclose(norms.parameter_norm, np.linalg.norm(before, axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        norms.gradient_norm, np.linalg.norm(stacked(gradient), axis=1), rtol=1e-3
    )
    assert (norms.gradient_norm > 0.02).all(), "else the limit is not felt"
    moved = np.linalg.norm(after - before, axis=1) / np.linalg.norm(after, axis=1)
    np.testing.assert_allclose(norms.update_ratio, moved, rtol=1e-2)


@pytest.mark.parametrize("name", ["state_action", "goal"])
def test_steps_of_the_critic(measured, name):
    _, (agent, stepped, _, found) = measured
    before, after = (stacked(getattr(a.critic, name)) for a in (agent, stepped))
    moved = np.linalg.norm(after - before, axis=1) / np.linalg.norm(after, axis=1)
    np.testing.assert_allclose(found[name].update_ratio, moved, rtol=1e-2)


def test_stream_and_branch_are_those_of_ever_deeper_trunks(measured):
    """Behind block k is what a trunk of k + 1 blocks with the same parameters puts out."""
    kernel, (agent, _, _, found) = measured
    batch, own = crl_batch(), agent.actor["params"]["trunk"]
    observation = jnp.concatenate([batch.state, batch.goal], -1)
    streams = []
    for count in (1, 2):
        part = {"first": own["first"], "blocks": jax.tree.map(lambda x, n=count: x[:n], own["blocks"])}
        trunk = Trunk(4 * count, kernel.program.architecture)
        streams.append(np.asarray(trunk.apply({"params": part}, observation)))
    mean_norm = lambda x: np.linalg.norm(x, axis=-1).mean()  # noqa: E731
    np.testing.assert_allclose(found["actor"].stream_norm, list(map(mean_norm, streams)), rtol=1e-4)
    added = mean_norm(streams[1] - streams[0])
    np.testing.assert_allclose(found["actor"].branch_norm[1], added, rtol=1e-3)


@pytest.mark.parametrize("agent", METHODS)
def test_every_method_has_its_networks(agent):
    """By shape: two blocks of each trunk as deep as the method says, none left out."""
    kernel, hyper = made(agent)
    state = jax.eval_shape(kernel.init, jax.random.PRNGKey(0))
    found = jax.eval_shape(kernel.blocks, hyper, state, jax.random.PRNGKey(0))
    critic = getattr(state.agent, "critic", None)
    assert set(found) == {"actor", *(() if critic is None else critic._fields)}
    halved = {"srl": ("state_action", "goal"), "safe_crl": ("survival",)}.get(agent, ())
    for name, norms in found.items():
        assert {leaf.shape for leaf in norms} == {(1 if name in halved else 2,)}, name
    rows = sum(norms.stream_norm.size for norms in found.values())
    assert rows == trained_blocks(config_of(agent)), "what the plan counts"


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["sac", "td3", "gcsl", "chrono_srl"])
def test_steps_are_those_of_each_methods_own_update(agent):
    """td3 steps its actor at every second update only, the norms are of one that does; and it does so
    against the critics that the update has already moved, which the norms leave where they are."""
    kernel, hyper = made(agent)
    method = algorithm(agent)

    @quick_jit
    def run(rng):
        state = kernel.init(rng)
        state = jax.lax.fori_loop(0, 5, lambda _, s: kernel._collect(s), state)
        batch, key = kernel._sample(hyper, state, rng)
        old = method.update(kernel.nets, state.agent, batch, key, hyper)[0]
        old = method.update(kernel.nets, old, batch, key, hyper)[0]
        new = method.update(kernel.nets, old, batch, key, hyper)[0]
        return old, new, blocks.measure(method, kernel.nets, old, batch, key, hyper)

    old, new, found = run(jax.random.PRNGKey(0))
    for name, norms in found.items():
        before, after = (stacked(blocks._network(a, name)) for a in (old, new))
        moved = np.linalg.norm(after - before, axis=1) / np.linalg.norm(after, axis=1)
        assert (moved > 1e-6).all()
        rough = 0.2 if (agent, name) == ("td3", "actor") else 0.02
        np.testing.assert_allclose(norms.update_ratio, moved, rtol=rough, err_msg=name)
