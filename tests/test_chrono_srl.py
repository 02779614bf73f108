"""ChronoSRL: its terms by hand, what is known of the time at a goal, and how close a step is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from test_agents import A, B, G, S, hits, hits_and_closeness, leaves_equal, numbers, saying
from test_hits import CAPACITY, SAMPLES, inside
from test_replay import ENVS, fill, history

from crlscale import hits as events
from crlscale.agents import chrono_srl, hazards, occupancy
from crlscale.config import RunConfig
from crlscale.envs.episode import FAILURE, RUNNING, TIME_LIMIT
from crlscale.program import split


def made(**settings):
    """(networks, agent, hyper) of a small agent with one layer of 8 units, 50 bins of a step."""
    small = {"depth": 1, "width": 8, "representation_size": 6, "chunk_length": 1}
    program, hyper = split(RunConfig(agent="chrono_srl", **{**small, **settings}))
    nets = chrono_srl.networks(program, A)
    sizes = {"state_size": S, "action_size": A, "goal_size": G}
    return nets, quick_jit(partial(chrono_srl.init, nets, **sizes))(jax.random.PRNGKey(0)), hyper


# --- embeddings -----------------------------------------------------------------------------
def test_distance_loss_by_hand():
    """kappa = 0.5 and distances 9, 0.7, 5, 9: rows 1 and 2 were reached, after 1 and 3 steps: misses of
    0.2 and 3.5, Huber 0.02 and 3; the goal that holds and the one that was not reached do not count."""
    z = jnp.zeros((B, 2))
    goal = jnp.array([[9.0, 0.0], [0.7, 0.0], [3.0, 4.0], [9.0, 0.0]])
    loss = chrono_srl.distance_loss(z, goal, hits(), jnp.float32(0.5))
    assert float(loss) == pytest.approx((0.02 + 3.0) / 2, rel=1e-3)
    none = hits()._replace(hit=jnp.zeros(B, bool))
    assert float(chrono_srl.distance_loss(z, goal, none, jnp.float32(0.5))) == 0


def test_hinge_loss_by_hand():
    """On a line, embeddings of state-actions at 0, 1 and of goals at 0.5, 3; farthest 1: where the goals
    differ, distances of row 0 to goal 1, 3, and of row 1 to goal 0, 0.5: 0 and 0.5."""
    z, goal = jnp.array([[0.0], [1.0]]), jnp.array([[0.5], [3.0]])
    batch = jax.tree.map(lambda x: x[:2], hits())._replace(goal=jnp.array([[1.0, 2.0], [1.0, 3.0]]))
    loss = chrono_srl.hinge_loss(z, goal, batch, jnp.float32(1.0))
    assert float(loss) == pytest.approx(0.25, rel=1e-4)
    same = batch._replace(goal=jnp.ones((2, 2)))
    assert float(chrono_srl.hinge_loss(z, goal, same, jnp.float32(1.0))) == 0


# --- occupancy ------------------------------------------------------------------------------
EDGES = np.array([0, 1, 3, 6], np.int32)


def records(closeness, observed, endings):
    size = len(observed)
    blank, flags = jnp.zeros((size, 1)), jnp.zeros(size, bool)
    numbers = jnp.ones(size, jnp.int32), jnp.asarray(observed, jnp.int32)
    batch = events.Hits(blank, blank, blank, flags, *numbers, jnp.asarray(endings, jnp.int8))
    return batch._replace(closeness=jnp.asarray(closeness, jnp.float32))


def test_shares_by_hand():
    """Bins of 1, 2 and 3 steps. After a failure nothing is close; a bin that another end cuts is not
    known, one that ends with the record is."""
    close = [[1, 1 / 3, 1, 0, 0, 0]] * 4 + [[1, 1, 1, 1, 0.5, 0]]
    batch = records(close, [3, 3, 4, 2, 6], [FAILURE, TIME_LIMIT, RUNNING, TIME_LIMIT, RUNNING])
    share, known = occupancy.shares(batch, EDGES)
    np.testing.assert_allclose(share[:4], [[1, 2 / 3, 0]] * 4, rtol=1e-5)
    np.testing.assert_allclose(share[4], [1, 1, 0.5], rtol=1e-5)
    np.testing.assert_array_equal(
        known, [[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1]], "where the record says it"
    )


def test_cross_entropy_by_hand():
    """Logits 1: log(1 + e) - share, over the four known bins of two rows."""
    batch = records([[1, 1 / 3, 1, 0, 0, 0]] * 2, [3, 1], [FAILURE, TIME_LIMIT])
    found = occupancy.cross_entropy(jnp.ones((2, 3)), batch, EDGES)
    shares = [1, 2 / 3, 0, 1]
    assert float(found) == pytest.approx(np.log(1 + np.e) - np.mean(shares), rel=1e-5)


def test_time_at_goal_by_hand():
    lengths = hazards.discounted_lengths(EDGES, jnp.float32(0.5))
    np.testing.assert_allclose(lengths, [1, 0.75, 0.21875], rtol=1e-5)
    found = occupancy.time_at_goal(jnp.array([[0.0, 100.0, -100.0]]), lengths)
    np.testing.assert_allclose(found, [0.5 + 0.75], rtol=1e-5)


def test_closeness_of_a_chain():
    """As the sampler asks for it: inside the radius of 0.1, half and a quarter of it."""
    from crlscale.agents import batches
    from crlscale.envs.registry import make_env

    config = RunConfig(env="chain_2", agent="chrono_srl", batch_size=8, survival_horizon=6)
    program, hyper = split(config)
    env = make_env(program.task)
    rows = history([[RUNNING] * ENVS] * 9)
    reached = np.stack([0.02 * (rows.reached[..., 1] - 1), 0 * rows.reached[..., 0]], -1)
    replay = fill(rows._replace(reached=reached.astype(np.float32)))
    hyper = hyper._replace(current_share=jnp.float32(0), random_share=jnp.float32(0))
    batch = batches.hits_and_closeness(program, env, replay, jax.random.PRNGKey(0), jnp.int32(9), hyper)
    time = np.asarray(batch.state[:, 1]).astype(int)
    for row in range(8):
        for step in range(1, 7):
            away = abs(0.02 * (time[row] + step - 1) - float(batch.goal[row, 0]))
            parts = [away <= radius + 1e-6 for radius in (0.1, 0.05, 0.025)]
            expected = np.mean(parts) if time[row] + step <= 9 else 0.0
            assert float(batch.closeness[row, step - 1]) == pytest.approx(expected, abs=1e-6)


def test_closeness_ends_with_the_episode():
    """Beyond the record it is 0, whatever other episodes reached; within it, it is what was asked."""
    rows = history([[0, 0, 0], [FAILURE, TIME_LIMIT, 0], *[[0] * ENVS] * 4])
    batch = events.sample_hits(
        fill(rows),
        jax.random.PRNGKey(0),
        SAMPLES // 10,
        inside=inside,
        closeness=lambda reached, goal: reached[..., 1] + 0 * goal[..., 1],
        horizon=5,
        dwell=1,
        current=jnp.float32(0),
        random=jnp.float32(0.5),
        time=jnp.int32(6),
        capacity=CAPACITY,
        discount=jnp.float32(0.9),
        window=jnp.int32(9),
    )
    step = 1 + np.arange(5)
    expected = np.asarray(batch.state[:, 1])[:, None] + step
    recorded = step <= np.asarray(batch.observed)[:, None]
    np.testing.assert_array_equal(batch.closeness, np.where(recorded, expected, 0))


# --- together ---------------------------------------------------------------------------------
def test_the_critic_s_loss_is_the_weighted_sum_of_its_terms():
    nets, agent, hyper = made()
    hyper = hyper._replace(
        distance_weight=jnp.float32(2), hinge_weight=jnp.float32(3), occupancy_weight=jnp.float32(5)
    )
    loss, (_, metrics) = chrono_srl.critic_loss(nets, agent.critic, hits_and_closeness(), hyper)
    terms = [float(metrics[f"{name}_loss"]) for name in ("hazard", "distance", "hinge", "occupancy")]
    assert float(loss) == pytest.approx(np.dot([1, 2, 3, 5], terms), rel=1e-5)
    assert float(metrics["failure_share"]) == 0.25 and float(metrics["hit_share"]) == 0.75


def test_the_actor_climbs_time_at_goal_as_much_as_tasks_fail():
    """Beta 0: the value alone. Occupancy logits of 0 add beta x 1/2 x the discounted horizon."""
    nets, agent, _ = made()
    critic = agent.critic._replace(joined=saying(agent.critic.joined, occupancy=0.0))
    goal = nets.critic.goal.apply(critic.goal, numbers(3, B, G))
    loss = partial(chrono_srl.actor_loss, nets, agent.actor, critic, goal, jnp.float32(0.3))
    without, (_, value) = loss(jnp.float32(0.5), jnp.float32(0.0), hits(), jnp.zeros((B, A)))
    with_time, _ = loss(jnp.float32(0.5), jnp.float32(0.25), hits(), jnp.zeros((B, A)))
    assert float(without - with_time) == pytest.approx(0.25 * 0.5 * (2 - 0.5**49), rel=1e-4)
    assert float(value) < 0


@pytest.mark.parametrize("name", ["distance_weight", "hinge_weight", "occupancy_weight"])
def test_weights_reach_the_critic(name):
    nets, agent, hyper = made(value_discount=0.9)  # so that other goals are not far enough already
    gradient = quick_jit(
        jax.grad(lambda critic, h: chrono_srl.critic_loss(nets, critic, hits_and_closeness(), h)[0])
    )
    one = gradient(agent.critic, hyper)
    assert not leaves_equal(one, gradient(agent.critic, hyper._replace(**{name: jnp.float32(0.0)})))


def test_a_chunk_of_two_is_the_default():
    program, hyper = split(RunConfig(agent="chrono_srl", env="chain_8"))
    assert program.chunk_length == 2 and float(hyper.target_entropy) == -8
    nets = chrono_srl.networks(program, 16)
    assert [part.depth for part in nets.critic] == [4, 4, 4]
    assert nets.critic.joined.occupancy_bins == 32 and nets.occupancy_edges[-1] == 50
