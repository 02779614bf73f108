"""Contrastive RL: losses worked by hand, and whole updates against an implementation in numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations, quick_jit
from scipy import special, stats

from crlscale.agents import crl
from crlscale.agents.energies import ENERGIES
from crlscale.config import RunConfig
from crlscale.program import Hyper, split
from crlscale.replay import Batch

S, A, G, R, W, B = 3, 2, 8, 6, 4, 7


def nets_of(depth=2, width=W, **settings):
    config = RunConfig(depth=depth, width=width, representation_size=R, **settings)
    return crl.networks(split(config)[0], A)


@pytest.fixture(scope="module")
def begin():
    """begin[depth](key) -> Agent, compiled once for each depth."""
    sizes = {"state_size": S, "action_size": A, "goal_size": G}
    return {d: quick_jit(partial(crl.init, nets_of(depth=d), **sizes)) for d in (2, 8)}


def hyper_of(rate=1e-2, penalty=0.1, entropy=-1.0):
    rates = dict.fromkeys(
        ("actor_learning_rate", "critic_learning_rate", "alpha_learning_rate"), jnp.float32(rate)
    )
    return Hyper(
        discount=jnp.float32(0.99),
        hindsight_window=jnp.int32(5),
        logsumexp_penalty=jnp.float32(penalty),
        target_entropy=jnp.float32(entropy),
        hindsight_share=jnp.float32(0.0),
        polyak=jnp.float32(0.005),
        survival_weights=jnp.float32(1.0),
        survival_bonus=jnp.float32(1.0),
        value_discount=jnp.float32(0.999),
        current_share=jnp.float32(0.05),
        random_share=jnp.float32(0.1),
        distance_weight=jnp.float32(1.0),
        hinge_weight=jnp.float32(1.0),
        occupancy_weight=jnp.float32(1.0),
        gradient_clip=None,
        warmup_updates=jnp.int32(0),
        **rates,
    )


def batch_of(seed, size=B):
    rng = np.random.default_rng(seed)
    state, action, goal = (jnp.asarray(rng.standard_normal((size, n)), jnp.float32) for n in (S, A, G))
    steps = jnp.ones(size, jnp.int32)
    return Batch(state, jnp.tanh(action), goal, steps, steps, steps.astype(jnp.int8))


def test_acting(begin):
    """Stochastic actions follow the actor's Gaussian with one noise for each env and action (trap
    11); the deterministic action is the tanh of its mean."""
    nets = nets_of(depth=2)
    agent = begin[2](jax.random.PRNGKey(0))
    observation, age = jnp.ones((4000, S + G)), jnp.zeros(4000, jnp.int32)

    @quick_jit
    def act(actor, key):
        mean, log_std = nets.actor.apply(actor, observation[:1])
        action = crl.act(nets, actor, observation, age, key)
        return mean, log_std, action, crl.act_deterministic(nets, actor, observation[:1], age[:1])

    mean, log_std, action, still = map(np.asarray, act(agent.actor, jax.random.PRNGKey(1)))
    noise = (np.arctanh(action) - mean) / np.exp(log_std)
    for one in noise.T:
        assert stats.kstest(one, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.06
    np.testing.assert_allclose(still, np.tanh(mean), rtol=1e-6)


# --- the same update in numpy -----------------------------------------------------------
def direct(phi, psi):
    difference = np.asarray(phi, np.float64)[:, None] - np.asarray(psi, np.float64)[None]
    return -np.sqrt((difference**2).sum(-1) + 1e-6)


class Reference:
    """Forward, losses and Adam in float64 numpy, gradients by central differences."""

    EPSILON = 1e-5

    def __init__(self, agent, hyper, depth):
        leaves = jax.tree.map(lambda x: np.asarray(x, np.float64), agent)
        self.parameters = {
            "actor": leaves.actor["params"],
            "phi": leaves.critic.state_action["params"],
            "psi": leaves.critic.goal["params"],
            "log_alpha": {"": leaves.log_alpha.reshape(1)},
        }
        self.depth, self.hyper, self.updates = depth, hyper, 0
        self.first = jax.tree.map(np.zeros_like, self.parameters)
        self.second = jax.tree.map(np.zeros_like, self.parameters)

    @staticmethod
    def layer(p, x):
        x = x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = x * p["LayerNorm_0"]["scale"] + p["LayerNorm_0"]["bias"]
        return x * special.expit(x)

    def trunk(self, p, x):
        x = self.layer(p["first"], x)
        for block in range(max(1, self.depth // 4)):
            y = x
            for index in range(min(4, self.depth)):
                parts = p["blocks"][f"Layer_{index}"]
                y = self.layer(
                    {m: {n: v[block] for n, v in part.items()} for m, part in parts.items()}, y
                )
            x = x + y
        return x

    def dense(self, p, x):
        return x @ p["kernel"] + p["bias"]

    def embed(self, p, *x):
        return self.dense(p["head"], self.trunk(p["trunk"], np.concatenate(x, -1)))

    def policy(self, p, state, goal):
        x = self.trunk(p["trunk"], np.concatenate([state, goal], -1))
        log_std = -5 + 3.5 * (np.tanh(self.dense(p["log_std"], x)) + 1)
        return self.dense(p["mean"], x), log_std

    def critic_loss(self, batch):
        phi = self.embed(self.parameters["phi"], batch.state, batch.action)
        psi = self.embed(self.parameters["psi"], batch.goal)
        logits = direct(phi, psi)
        lse = special.logsumexp(logits, axis=1)
        loss = np.mean(lse - np.diag(logits)) + float(self.hyper.logsumexp_penalty) * np.mean(lse**2)
        return loss, logits

    def actor_loss(self, batch, noise, critic):
        mean, log_std = self.policy(self.parameters["actor"], batch.state, batch.goal)
        before = mean + np.exp(log_std) * noise
        normal = -0.5 * np.log(2 * np.pi) - log_std - 0.5 * noise**2
        log_prob = (normal - np.log(1 - np.tanh(before) ** 2)).sum(-1)
        phi = self.embed(critic["phi"], batch.state, np.tanh(before))
        psi = self.embed(critic["psi"], batch.goal)
        alpha = np.exp(self.parameters["log_alpha"][""])
        loss = np.mean(alpha * log_prob + np.sqrt(((phi - psi) ** 2).sum(-1) + 1e-6))
        return loss, log_prob.mean()

    def gradient(self, network, loss):
        def of(values):
            result = np.zeros_like(values)
            for index in np.ndindex(values.shape):
                kept = values[index]
                values[index] = kept + self.EPSILON
                above = loss()
                values[index] = kept - self.EPSILON
                result[index] = (above - loss()) / (2 * self.EPSILON)
                values[index] = kept
            return result

        return jax.tree.map(of, self.parameters[network])

    def update(self, batch, noise):
        """One step; the actor and alpha use the critic of before. -> gradients, metrics."""
        batch = Batch(*(np.asarray(x, np.float64) for x in batch))
        loss, logits = self.critic_loss(batch)
        actor_loss, log_prob = self.actor_loss(batch, noise, self.parameters)
        alpha = np.exp(self.parameters["log_alpha"][""])
        gradients = {
            "phi": self.gradient("phi", lambda: self.critic_loss(batch)[0]),
            "psi": self.gradient("psi", lambda: self.critic_loss(batch)[0]),
            "actor": self.gradient("actor", lambda: self.actor_loss(batch, noise, self.parameters)[0]),
            "log_alpha": {"": alpha * (-log_prob - float(self.hyper.target_entropy))},
        }
        norms = {
            name: np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(gradient)))
            for name, gradient in gradients.items()
        }
        size = len(logits)
        metrics = {
            "critic_loss": loss,
            "categorical_accuracy": np.mean(logits.argmax(1) == np.arange(size)),
            "logsumexp": special.logsumexp(logits, axis=1).mean(),
            "positive_energy": np.diag(logits).mean(),
            "negative_energy": logits[~np.eye(size, dtype=bool)].mean(),
            "actor_loss": actor_loss,
            "entropy": -log_prob,
            "alpha": alpha[0],
            "actor_gradient_norm": norms["actor"],
            "state_action_gradient_norm": norms["phi"],
            "goal_gradient_norm": norms["psi"],
        }
        self.adam(gradients)
        return gradients, metrics

    def adam(self, gradients):
        self.updates += 1
        rates = {
            "actor": self.hyper.actor_learning_rate,
            "phi": self.hyper.critic_learning_rate,
            "psi": self.hyper.critic_learning_rate,
            "log_alpha": self.hyper.alpha_learning_rate,
        }
        for name, gradient in gradients.items():
            m = self.first[name] = jax.tree.map(
                lambda m, g: 0.9 * m + 0.1 * g, self.first[name], gradient
            )
            v = self.second[name] = jax.tree.map(
                lambda v, g: 0.999 * v + 0.001 * g**2, self.second[name], gradient
            )

            def step(p, m, v, rate=float(rates[name])):
                corrected = np.sqrt(v / (1 - 0.999**self.updates)) + 1e-8
                return p - rate * m / (1 - 0.9**self.updates) / corrected

            self.parameters[name] = jax.tree.map(step, self.parameters[name], m, v)


def assert_close(ours, theirs, **tolerance):
    for (path, a), b in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, err_msg=jax.tree_util.keystr(path), **tolerance)


@pytest.mark.parametrize(("depth", "updates"), [(2, 2), (8, 1)])
def test_updates_equal_an_independent_implementation(begin, depth, updates):
    """Metrics, gradients (as Adam's first moments) and parameters. The rate is high, so an actor
    that saw the critic of after its step would differ (and does, see the last lines)."""
    nets, hyper = nets_of(depth=depth), hyper_of(rate=0.03)
    agent = begin[depth](jax.random.PRNGKey(0))
    reference = Reference(agent, hyper, depth)
    update = quick_jit(partial(crl.update, nets))
    for index in range(updates):
        batch, key = batch_of(index, size=4), jax.random.PRNGKey(index)
        noise = np.asarray(jax.random.normal(key, (4, A)), np.float64)
        stale = jax.tree.map(np.copy, reference.parameters)
        agent, metrics = update(agent, batch, key, hyper)
        _, expected = reference.update(batch, noise)
        assert set(metrics) == set(expected)
        assert {k: float(v) for k, v in metrics.items()} == pytest.approx(expected, rel=2e-3, abs=2e-4)
        p, m = reference.parameters, reference.first
        ours = (agent.actor, agent.critic.state_action, agent.critic.goal)
        moments = (
            agent.actor_moments.mu,
            agent.critic_moments.mu.state_action,
            agent.critic_moments.mu.goal,
        )
        for name, moment in zip(("actor", "phi", "psi"), moments, strict=True):
            assert_close(moment["params"], m[name], rtol=5e-3, atol=2e-5)
        for name, parameters in zip(("actor", "phi", "psi"), ours, strict=True):
            assert_close(parameters["params"], p[name], atol=2e-3)
        np.testing.assert_allclose(agent.log_alpha, p["log_alpha"][""][0], rtol=1e-4, atol=1e-5)
    after, _ = reference.actor_loss(Batch(*(np.asarray(x, float) for x in batch)), noise, p)
    before, _ = reference.actor_loss(Batch(*(np.asarray(x, float) for x in batch)), noise, stale)
    assert abs(after - before) > 0.01, "the critic's step would show"


def test_alpha_starts_at_one_and_fresh_networks_differ(begin):
    """trap 11: three networks from three keys."""
    agent = begin[2](jax.random.PRNGKey(0))
    assert float(jnp.exp(agent.log_alpha)) == 1.0
    trees = (agent.actor, agent.critic.state_action, agent.critic.goal)
    kernels = [tree["params"]["trunk"]["blocks"]["Layer_0"]["Dense_0"]["kernel"] for tree in trees]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (kernels[one] != kernels[other]).all()
    again = begin[2](jax.random.PRNGKey(0))
    assert all(
        (a == b).all() for a, b in zip(jax.tree.leaves(agent), jax.tree.leaves(again), strict=True)
    )
    head = [begin[2](jax.random.PRNGKey(k)).critic.goal["params"]["head"]["kernel"] for k in (0, 1)]
    assert (head[0] != head[1]).all()


def test_parameter_norms(begin):
    agent = begin[2](jax.random.PRNGKey(0))
    norms = crl.parameter_norms(agent)
    for name, tree in (
        ("actor", agent.actor),
        ("state_action", agent.critic.state_action),
        ("goal", agent.critic.goal),
    ):
        flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
        np.testing.assert_allclose(norms[f"{name}_parameter_norm"], np.linalg.norm(flat), rtol=1e-5)
    assert len(norms) == 3


# --- the program of an update -----------------------------------------------------------
def shapes(depth, size=B):
    """(update, its arguments as shapes) for networks of `depth`; nothing is computed."""
    nets = nets_of(depth=depth)
    begin = partial(crl.init, nets, state_size=S, action_size=A, goal_size=G)
    key = jax.random.PRNGKey(0)
    return partial(crl.update, nets), (jax.eval_shape(begin, key), batch_of(0, size), key, hyper_of())


def test_the_program_does_not_grow_with_depth():
    """trap 22: as many equations at depth 1024 as at 8, and a text longer only by its digits."""
    sizes = {}
    for depth in (8, 64, 1024):
        update, arguments = shapes(depth)
        count = sum(1 for _ in equations(jax.make_jaxpr(update)(*arguments)))
        sizes[depth] = count, len(jax.jit(update).lower(*arguments).as_text())
    assert sizes[8][0] == sizes[64][0] == sizes[1024][0] > 100
    assert sizes[1024][1] < 1.02 * sizes[8][1]


def test_distances_take_no_b_by_b_by_r_memory():
    """trap 21: the largest array of an update at batch 64 is smaller than 64 x 64 x R."""
    size = 64
    update, arguments = shapes(2, size)
    largest = max(v.aval.size for e in equations(jax.make_jaxpr(update)(*arguments)) for v in e.outvars)
    assert size * size <= largest < size * size * R


def test_the_distance_product_is_never_rounded_below_float32():
    """On GPUs the default would be TF32, which the Gram identity does not survive."""
    traced = jax.make_jaxpr(ENERGIES["l2"].matrix)(jnp.ones((B, R)), jnp.ones((B, R)))
    precisions = [e.params["precision"] for e in equations(traced) if e.primitive.name == "dot_general"]
    assert precisions == [(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)]


def test_goals_are_encoded_once():
    """psi(goal) is shared by the critic's and the actor's loss: one product with its first kernel."""
    update, arguments = shapes(2, 5)  # unlike every size of a kernel
    kernels = [  # those of gradients are taken along their other axis
        e.invars[1].aval.shape
        for e in equations(jax.make_jaxpr(update)(*arguments))
        if e.primitive.name == "dot_general" and e.params["dimension_numbers"][0][1] == (0,)
    ]
    assert kernels.count((G, W)) == 1
    assert kernels.count((S + G, W)) == 1
