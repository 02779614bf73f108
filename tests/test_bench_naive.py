"""The design that the bench measures against learns the same: updates, goals, buffer and walls."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations, quick_jit
from scipy import stats
from test_replay import ENVS, history

from crlscale import replay as ring
from crlscale.agents import crl
from crlscale.bench.naive import phase as naive_phase
from crlscale.bench.naive import sampling
from crlscale.bench.naive.networks import unrolled
from crlscale.bench.naive.update import Design, Triples
from crlscale.bench.naive.walls import naive_env
from crlscale.config import RunConfig
from crlscale.envs import episode
from crlscale.envs.episode import FAILURE, RUNNING, TIME_LIMIT
from crlscale.envs.registry import make_env, task_spec
from crlscale.program import split

B, W, R = 7, 8, 6
RATE = 1e-2  # a hundred times the tolerance: one parameter that went the other way would show


def config_of(depth, **more):
    rates = dict.fromkeys(("actor_learning_rate", "critic_learning_rate", "alpha_learning_rate"), RATE)
    shape = {"env": "chain_2", "depth": depth, "width": W, "representation_size": R}
    return RunConfig(**{**shape, "batch_size": B, **rates, **more})


@lru_cache
def both_designs(depth):
    """(networks, agent, hyper) of ours, and the naive design with its agent of the same parameters."""
    config = config_of(depth)
    program, hyper = split(config)
    nets, task = crl.networks(program, config.task.action_size), config.task
    design = Design(config)
    sizes = {"state_size": task.state_size, "action_size": task.action_size}
    begin = partial(crl.init, nets, **sizes, goal_size=task.goal_size)
    both = quick_jit(lambda key: (ours := begin(key), design.begin(ours)))
    ours, theirs = both(jax.random.PRNGKey(3))
    return (nets, ours, hyper), (design, theirs)


def triples(task, seed):
    rng = np.random.default_rng(seed)
    sizes = task.state_size, task.action_size, task.goal_size
    return Triples(*[jnp.asarray(rng.standard_normal((B, n)), jnp.float32) for n in sizes])


def as_batch(given):
    """The triples as our update takes them; it does not look at the other fields."""
    ones = jnp.ones(B, jnp.int32)
    return ring.Batch(given.state, given.action, given.goal, ones, ones, ones.astype(jnp.int8))


# --- one update ----------------------------------------------------------------------------
@pytest.mark.parametrize("depth", [4, 8])
def test_updates_equal_ours(depth):
    """Three updates from the same parameters, on the same batches with the same noise: every metric
    that both have, and every parameter."""
    (nets, ours, hyper), (design, theirs) = both_designs(depth)
    ours_step, theirs_step = quick_jit(partial(crl.update, nets)), quick_jit(design.update)
    start = theirs
    for seed in range(3):
        batch, key = triples(design.config.task, seed), jax.random.PRNGKey(seed)
        ours, metrics = ours_step(ours, as_batch(batch), key, hyper)
        theirs, found = theirs_step(theirs, batch, key)
        assert len(found) == 8
        for name, value in found.items():
            np.testing.assert_allclose(value, metrics[name], rtol=1e-4, atol=1e-5, err_msg=name)
    wanted = quick_jit(design.begin)(ours)
    parts = zip(
        jax.tree.leaves_with_path((theirs.actor, theirs.critic, theirs.log_alpha)),
        jax.tree.leaves((wanted.actor, wanted.critic, wanted.log_alpha)),
        jax.tree.leaves((start.actor, start.critic, start.log_alpha)),
        strict=True,
    )
    for (path, value), expected, before in parts:
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-4, err_msg=name)
        assert np.abs(value - before).max() > RATE / 5, name


def test_actions_equal_ours():
    (nets, ours, _), (design, theirs) = both_designs(8)
    given, key = triples(design.config.task, 0), jax.random.PRNGKey(1)
    obs, age = jnp.concatenate([given.state, given.goal], 1), jnp.zeros(B, jnp.int32)
    expected = quick_jit(partial(crl.act, nets))(ours.actor, obs, age, key)
    noise = jax.random.normal(key, given.action.shape)
    action, _ = quick_jit(design.draw)(theirs.actor, given.state, given.goal, noise)
    np.testing.assert_allclose(action, expected, rtol=1e-4, atol=1e-5)


def test_unrolled_parameters_are_all_of_them():
    """Depth 8: an input layer and 8 more, each with kernel, bias, scale and shift, and the head."""
    (_, ours, _), _ = both_designs(8)
    found = unrolled(ours.critic.goal, 8)
    assert len(jax.tree.leaves(found)) == 9 * 4 + 2
    total = sum(leaf.size for leaf in jax.tree.leaves(ours.critic.goal))
    assert sum(leaf.size for leaf in jax.tree.leaves(found)) == total


def test_it_has_the_traits_that_ours_lacks():
    """No loop over blocks, so its program grows with depth; a difference of all pairs, B x B x R."""
    counts = []
    for depth in (4, 8):
        (nets, ours, hyper), (design, theirs) = both_designs(depth)
        batch, key = triples(design.config.task, 0), jax.random.PRNGKey(0)
        naive = list(equations(jax.make_jaxpr(design.update)(theirs, batch, key)))
        mine = list(
            equations(jax.make_jaxpr(partial(crl.update, nets))(ours, as_batch(batch), key, hyper))
        )
        shapes = [[v.aval.shape for e in side for v in e.outvars] for side in (naive, mine)]
        assert (B, B, R) in shapes[0] and (B, B, R) not in shapes[1]
        assert not [e for e in naive if e.primitive.name in ("scan", "checkpoint")]
        counts.append(len(naive))
    assert counts[1] > 1.4 * counts[0]


# --- goals ---------------------------------------------------------------------------------
STEPS, GAMMA = 12, 0.8
ENDINGS = np.zeros((STEPS, ENVS), np.int8)
ENDINGS[4, 0], ENDINGS[8, 0], ENDINGS[6, 1], ENDINGS[7, 1] = FAILURE, TIME_LIMIT, TIME_LIMIT, FAILURE


def probabilities(rows):
    """P(k steps ahead) of every step (env, time): [N, T, T + 1], enumerated in float64."""
    table = np.zeros((ENVS, STEPS, STEPS + 1))
    for env in range(ENVS):
        for time in range(STEPS):
            same = rows.episode[time:, env] == rows.episode[time, env]
            ahead = np.arange(1, same.sum() + 1)
            table[env, time, ahead] = GAMMA**ahead / (GAMMA**ahead).sum()
    return table


def filled(rows, capacity=STEPS):
    buffer = sampling.empty(jax.tree.map(lambda x: x[0], rows), capacity)
    return sampling.insert(buffer, jax.tree.map(jnp.asarray, rows))


def counted(state, goal):
    """How often each (env, time, steps ahead) came up, by the ids that the rows hold."""
    env, time = (np.asarray(state[..., k], int).ravel() for k in (0, 1))
    goal_env, reached, goal_episode = (np.asarray(goal[..., k], int).ravel() for k in range(3))
    assert (goal_env == env).all()
    assert (goal_episode == np.asarray(state[..., 2], int).ravel()).all()
    counts = np.zeros((ENVS, STEPS, STEPS + 1), int)
    np.add.at(counts, (env, time, reached - time), 1)
    return counts


def agrees(counts, table):
    """p-value of the goals of all steps together, given how often each step came up."""
    expected = counts.sum(-1, keepdims=True) * table
    assert (counts[table == 0] == 0).all() and (counts.sum(-1) > 0).all()
    cells = expected > 0
    statistic = ((counts[cells] - expected[cells]) ** 2 / expected[cells]).sum()
    return stats.chi2.sf(statistic, cells.sum() - ENVS * STEPS)


def test_goals_are_drawn_as_ours():
    """Failures, time limits and running episodes; chi-square of both samplers against the same table."""
    rows = history(ENDINGS)
    table = probabilities(rows)
    draw = quick_jit(jax.vmap(lambda key: sampling.sample(filled(rows), key, STEPS, 6, GAMMA)))
    naive = draw(jax.random.split(jax.random.PRNGKey(0), 2000))
    assert naive.goal.shape == (2000, 6, 6, 3)
    assert agrees(counted(naive.state, naive.goal), table) > 1e-4

    replay = ring.empty(jax.tree.map(lambda x: x[0], rows), STEPS)
    replay = quick_jit(ring.insert)(replay, jax.tree.map(jnp.asarray, rows), jnp.int32(0))
    ours = quick_jit(
        lambda key: ring.sample(
            replay, key, 2000 * 36, time=jnp.int32(STEPS), capacity=STEPS,
            discount=jnp.float32(GAMMA), window=jnp.int32(STEPS),
        )
    )(jax.random.PRNGKey(1))  # fmt: skip
    assert agrees(counted(ours.state, ours.goal), table) > 1e-4
    wrong = np.roll(table, 1, axis=-1)
    wrong[..., 0] = 0
    with pytest.raises(AssertionError):  # goals one step nearer would be noticed
        agrees(counted(ours.state, ours.goal), wrong)


def test_weights_of_goals_are_exact():
    rows = history(ENDINGS)
    table = probabilities(rows)
    for env in range(ENVS):
        weights = sampling.goal_log_weights(jnp.asarray(rows.episode[:, env]), GAMMA)
        found = np.asarray(jax.nn.softmax(weights, axis=1))
        for time in range(STEPS):
            ahead = table[env, time, 1 : STEPS - time + 1]
            np.testing.assert_allclose(found[time], np.append(np.zeros(time), ahead), atol=1e-6)


def test_sampling_takes_one_window_of_every_env():
    """9 of 12 steps: consecutive ones, each once, of every env; a remainder of the batches is left."""
    rows = history(ENDINGS)
    batches = quick_jit(lambda key: sampling.sample(filled(rows), key, 9, 9, GAMMA))(
        jax.random.PRNGKey(4)
    )
    env, time = (np.asarray(batches.state[..., k], int).ravel() for k in (0, 1))
    assert batches.state.shape[:2] == (3, 9) and batches.action.shape == (3, 9, 2)
    for one in range(ENVS):
        times = np.sort(time[env == one])
        np.testing.assert_array_equal(times, times[0] + np.arange(9))
    assert not (np.diff(time) == 1).all(), "shuffled"
    assert (np.asarray(batches.action)[..., 1].ravel() == time).all(), "columns stay together"
    rest = jax.eval_shape(
        lambda key: sampling.sample(filled(rows), key, 9, 10, GAMMA), jax.random.PRNGKey(4)
    )
    assert rest.state.shape[:2] == (2, 10)


def test_the_buffer_keeps_the_newest_steps_in_order():
    rows = history(np.zeros((15, ENVS), np.int8))
    buffer = sampling.empty(jax.tree.map(lambda x: x[0], rows), 7)
    insert = quick_jit(sampling.insert)
    for time in range(0, 15, 3):
        buffer = insert(buffer, jax.tree.map(lambda x, at=time: jnp.asarray(x[at : at + 3]), rows))
        after = time + 3
        assert int(buffer.filled) == min(after, 7)
        kept = np.asarray(buffer.rows.action[: int(buffer.filled), :, 1])
        np.testing.assert_array_equal(kept[:, 0], np.arange(max(0, after - 7), after))
        assert (kept == kept[:, :1]).all()


# --- walls and phases -----------------------------------------------------------------------
def test_every_wall_is_a_box(relaxed_arrays):
    spec = task_spec("ant_u4_maze")
    boxed, ours = naive_env(spec), make_env(spec)
    assert boxed._walls is None and ours._walls is not None
    assert boxed.sys.ngeom - ours.sys.ngeom == spec.maze.walls.sum()
    assert type(naive_env(task_spec("ant"))) is type(make_env(task_spec("ant")))


@pytest.mark.slow
def test_boxed_mazes_step_as_ours():
    """Ten env steps with the same actions: most ants meet walls; in float32 few may part."""
    spec = task_spec("ant_u_maze")
    keys = jax.random.split(jax.random.PRNGKey(0), 32)
    actions = jax.random.uniform(jax.random.PRNGKey(1), (10, 32, 8), minval=-1.0, maxval=1.0)
    seen = []
    for env in (make_env(spec), naive_env(spec)):
        states = jax.jit(jax.vmap(env.reset))(keys)
        step = jax.jit(jax.vmap(env.step))
        for action in actions:
            states = step(states, action)
        seen.append(np.asarray(states.obs))
    assert (np.abs(seen[0] - seen[1]).max(1) < 1e-2).mean() > 0.9


def test_a_phase_collects_and_learns(monkeypatch):
    monkeypatch.setattr(naive_phase, "WINDOW", 10)
    config = config_of(4, num_envs=4, unroll_length=5, updates_per_phase=3, replay_capacity=20,
                       prefill_steps=10)  # fmt: skip
    _, (_, agent) = both_designs(4)
    design = Design(config)
    env = make_env(config.task)
    episodes = quick_jit(lambda key: episode.begin(env, key, 4, frozen=True))(jax.random.PRNGKey(0))
    advance = partial(episode.advance, env, limit=config.episode_length)
    row = jax.eval_shape(advance, episodes, jnp.zeros((4, config.task.action_size)))[1]
    buffer = sampling.empty(row, 20)._replace(filled=jnp.int32(10))
    state = naive_phase.State(agent, episodes, buffer, jax.random.PRNGKey(1))
    after, metrics = quick_jit(partial(naive_phase.phase, design, env))(state)
    assert int(after.buffer.filled) == 15 and (np.asarray(after.episodes.age) == 5).all()
    assert (np.asarray(after.buffer.rows.ending[10:15]) == RUNNING).all()
    assert np.abs(np.asarray(after.buffer.rows.action[10:15])).min() > 0
    assert metrics["critic_loss"].shape == (3,) and np.isfinite(metrics["critic_loss"]).all()
    assert len(set(np.asarray(metrics["critic_loss"]).tolist())) == 3
    assert (after.key != state.key).any()
