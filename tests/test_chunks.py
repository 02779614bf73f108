"""Action chunks: which are sampled, what a loss sees of them, and when envs decide anew.

Rows are those of tests/test_replay.py: the action of env n at time t is (n, t).
"""

from collections import namedtuple
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import equations, quick_jit
from probe_envs import Ruler
from scipy import stats
from test_agents import saying
from test_crl import Reference, hyper_of, nets_of
from test_replay import ANY_DISTANCE, CAPACITY, ENVS, SAMPLES, endings, fill, history

from crlscale import checkpoint, chunks, train
from crlscale import replay as ring
from crlscale.agents import crl
from crlscale.checkpoint import Position
from crlscale.config import RunConfig
from crlscale.envs import episode
from crlscale.envs.episode import FAILURE, RUNNING, TIME_LIMIT
from crlscale.evaluate import rollout
from crlscale.instability import NEVER
from crlscale.program import split


# --- the replay --------------------------------------------------------------------------
@partial(jax.jit, static_argnames=("length", "samples", "capacity"))
def draw(replay, seed, time, length, samples=SAMPLES, capacity=CAPACITY):
    return ring.sample(
        replay,
        jax.random.PRNGKey(seed),
        samples,
        time=time,
        capacity=capacity,
        discount=jnp.float32(0.9),
        window=jnp.int32(ANY_DISTANCE),
        chunk_length=length,
    )


def batch_of(rows, length, seed=0):
    batch = draw(fill(rows), seed, jnp.int32(len(rows.episode)), length)
    return jax.tree.map(np.asarray, batch)


def expected_chunks(rows, length):
    """{(env, time): whether the chunk is whole, times of its actions} of all rows that are kept."""
    steps, envs = rows.episode.shape
    found = {}
    for env in range(envs):
        for time in range(max(0, steps - CAPACITY), steps):
            end = time + 1
            while end < steps and rows.episode[end, env] == rows.episode[time, env]:
                end += 1
            whole = end - time >= length or rows.ending[end - 1, env] == FAILURE
            found[env, time] = bool(whole), [min(time + h, end - 1) for h in range(length)]
    return found


@given(endings=endings, length=st.sampled_from([2, 3, 5]), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_chunks_never_cross_an_episode(endings, length, seed):
    """traps 2, 3: over random failures and time limits, and over the wrap of the ring, the actions are
    those of the same env and episode, in order; every whole chunk comes up; any other only where 64
    draws found none that is whole."""
    rows = history(endings)
    expected = expected_chunks(rows, length)
    batch = batch_of(rows, length, seed)
    env, time, number, _ = batch.state.astype(int).T
    pairs = batch.action.astype(int).reshape(SAMPLES, length, 2)
    assert (pairs[..., 0] == env[:, None]).all()
    draws = list(zip(env.tolist(), time.tolist(), strict=True))
    assert (pairs[..., 1] == np.array([expected[place][1] for place in draws])).all()
    assert (rows.episode[pairs[..., 1], env[:, None]] == number[:, None]).all()
    whole = {place for place, (complete, _) in expected.items() if complete}
    assert whole <= set(draws)
    missed = np.mean([place not in whole for place in draws])
    chance = (1 - len(whole) / len(expected)) ** ring.TRIES
    assert missed == pytest.approx(chance, abs=5 * np.sqrt(chance * (1 - chance) / SAMPLES))


@given(endings=endings, length=st.sampled_from([2, 4]))
@settings(max_examples=10)
def test_goals_are_those_of_the_first_step(endings, length):
    """A chunk changes neither which goals follow nor how many steps are left."""
    rows = history(endings)
    batch = batch_of(rows, length)
    env, time, number, _ = batch.state.astype(int).T
    goal_env, goal_time, goal_number = batch.goal.astype(int).T
    assert (goal_env == env).all() and (goal_number == number).all()
    assert (goal_time - time == batch.steps).all() and batch.steps.min() >= 1
    ends = expected_chunks(rows, 99)
    last = np.array([ends[place][1][-1] for place in zip(env.tolist(), time.tolist(), strict=True)])
    assert (batch.left == last + 1 - time).all()
    assert (batch.ending == rows.ending[last, env]).all()


def test_a_failure_leaves_a_chunk_whole_by_hand():
    """Env 0 fails in step 1, env 1 meets its time limit there, env 2 goes on: of chunks of 3 in six
    rows only those of env 1 at 0 and 1 and those too near the newest row are cut."""
    rows = history([[0, 0, 0], [FAILURE, TIME_LIMIT, 0], *[[0, 0, 0]] * 4])
    batch = batch_of(rows, 3)
    seen = set(zip(*batch.state[:, :2].astype(int).T.tolist(), strict=True))
    assert seen == {(0, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)}
    held = batch.action[(batch.state[:, 0] == 0) & (batch.state[:, 1] == 1)][0]
    assert held.tolist() == [0, 1, 0, 1, 0, 1], "after the failure the last action again"


def test_anchors_with_whole_chunks_are_uniform():
    """Eighteen rows of which the last ten are kept, episodes of five cut by a time limit, chunks of
    three: chi-square over every whole one."""
    rows = history(np.where(np.arange(18)[:, None] % 5 == 4, TIME_LIMIT, RUNNING).repeat(ENVS, 1))
    batch = batch_of(rows, 3, seed=5)
    places, counts = np.unique(batch.state[:, :2], axis=0, return_counts=True)
    assert {int(t) for _, t in places} == {10, 11, 12, 15} and len(places) == 4 * ENVS
    assert stats.chisquare(counts).pvalue > 1e-4


def test_without_a_whole_chunk_there_is_still_a_batch():
    batch = batch_of(history([[TIME_LIMIT] * ENVS] * 6), 3)
    assert (batch.action.reshape(SAMPLES, 3, 2) == batch.action[:, None, :2]).all()


def test_sampling_chunks_makes_nothing_as_large_as_the_ring():
    """trap 20."""
    big, rows = 1200, history([[0] * ENVS] * 6)
    replay = jax.eval_shape(lambda: ring.empty(jax.tree.map(lambda x: jnp.asarray(x[0]), rows), big))
    traced = jax.make_jaxpr(partial(draw, length=3, samples=16, capacity=big))(replay, 0, jnp.int32(5))
    sizes = [v.aval.size for equation in equations(traced) for v in equation.outvars]
    assert len(sizes) > 30 and max(sizes) < 16 * 10


# --- the losses --------------------------------------------------------------------------
def test_the_critic_sees_the_actions_of_the_chunk():
    """Its loss is that of a numpy network whose input is the state and the next two actions, looked up
    in the rows."""
    rows = history([[0] * ENVS] * 9)._replace(ending=np.zeros((9, ENVS), np.int8))
    batch = draw(fill(rows), 3, jnp.int32(9), 2, samples=6)
    scaled = batch._replace(state=batch.state / 9, action=batch.action / 9, goal=batch.goal / 9)
    nets = nets_of(depth=2)
    sizes = {"state_size": 4, "action_size": 2 * 2, "goal_size": 3}
    agent = quick_jit(partial(crl.init, nets, **sizes))(jax.random.PRNGKey(0))
    loss, _ = quick_jit(partial(crl.critic_loss, nets))(agent.critic, scaled, jnp.float32(0.1))
    env, time = np.asarray(batch.state)[:, :2].astype(int).T
    looked_up = np.concatenate([rows.action[time, env], rows.action[time + 1, env]], 1) / 9
    reference = Reference(agent, hyper_of(), depth=2)
    numbers = jax.tree.map(lambda x: np.asarray(x, np.float64), scaled)
    expected, _ = reference.critic_loss(numbers._replace(action=looked_up))
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_entropy_of_a_chunk_is_the_sum_over_its_steps():
    """Means 0 and log std -1.5 in all 3 x 2 numbers; the energy is left out by alpha alone."""
    program, _ = split(RunConfig(env="chain_2", agent="ac_crl", depth=1, width=4))
    size = 2 * program.chunk_length
    nets = crl.networks(program, size)
    sizes = {"state_size": 4, "action_size": size, "goal_size": 2}
    agent = quick_jit(partial(crl.init, nets, **sizes))(jax.random.PRNGKey(0))
    actor = saying(agent.actor, mean=0.0, log_std=0.0)
    noise = np.random.default_rng(0).standard_normal((5, size)).astype(np.float32)
    zeros = jnp.zeros(5, jnp.int32)
    batch = ring.Batch(jnp.zeros((5, 4)), jnp.zeros((5, size)), jnp.zeros((5, 2)), zeros, zeros, zeros)
    loss = partial(crl.actor_loss, nets, actor, agent.critic, jnp.zeros((5, 64)))
    one, log_prob = loss(jnp.float32(1.0), batch, jnp.asarray(noise))
    none, _ = loss(jnp.float32(0.0), batch, jnp.asarray(noise))
    squash = np.log(1 - np.tanh(np.exp(-1.5) * noise.astype(np.float64)) ** 2)
    density = (stats.norm.logpdf(noise) + 1.5 - squash).sum(1)
    assert size == 6
    assert float(log_prob) == pytest.approx(density.mean(), rel=1e-5)
    assert float(one - none) == pytest.approx(density.mean(), rel=1e-4)


# --- acting ------------------------------------------------------------------------------
SETTINGS = {
    "env": "chain_2",
    "depth": 1,
    "width": 8,
    "representation_size": 4,
    "batch_size": 8,
    "num_envs": 16,
    "unroll_length": 10,
    "episode_length": 8,
    "prefill_steps": 20,
    "replay_capacity": 40,
}


@pytest.mark.parametrize("agent", ["ac_crl", "safe_crl"])
def test_envs_decide_anew_every_third_step_and_after_a_start(agent):
    """Against queues in plain Python: an env acts from its queue, fills it when it is empty, and throws
    it away when its episode ends. Over failures, time limits (8 is no multiple of 3) and unrolls (nor
    is 10)."""
    program, _ = split(RunConfig(**SETTINGS, agent=agent, chunk_length=3))
    env = Ruler()
    kernel = train._Kernel(program, env)
    state = quick_jit(kernel.init)(jax.random.PRNGKey(1))
    collect = quick_jit(kernel._collect)
    act = quick_jit(partial(kernel.algorithm.act, kernel.nets, state.agent.actor))
    advance = quick_jit(partial(episode.advance, env, limit=8))
    episodes, queues, decided = state.episodes, [[] for _ in range(16)], []
    for _ in range(3):
        unroll_key = jax.random.split(state.key)[0]
        first = int(state.unrolls) * 10
        state = collect(state)
        for time, rng in enumerate(jax.random.split(unroll_key, 10), first):
            plans = np.asarray(act(episodes.env.obs, episodes.age, rng)).reshape(16, 3)
            for queue, plan, age in zip(queues, plans, np.asarray(episodes.age), strict=True):
                if not queue:
                    queue.extend(plan)
                    decided.append(int(age))
            actions = np.array([[queue.pop(0)] for queue in queues], np.float32)
            np.testing.assert_allclose(state.replay.rows.action[time], actions, atol=1e-6)
            episodes, row = advance(episodes, jnp.asarray(state.replay.rows.action[time]))
            for n in np.flatnonzero(np.asarray(row.ending)):
                queues[n] = []
    assert set(decided) == {0, 3, 6}
    endings = np.asarray(state.replay.rows.ending[:30])
    failed = endings == FAILURE
    assert failed.sum() > 3 and (endings == TIME_LIMIT).sum() > 3


def test_an_evaluation_carries_chunks_out_open_loop():
    """A policy that would fail at once where it is asked at any age but 0, 3, 6 is not asked there;
    and the second action of its third chunk is the one of step 8."""
    env = Ruler(cells=[1.0, 2.0])

    def policy(obs, age):
        planned = jnp.where(age[:, None] == 6, jnp.array([[0.0, 1.0, 0.0]]), jnp.zeros((1, 3)))
        return jnp.where((age % 3 == 0)[:, None], planned, 1.0)

    run = quick_jit(lambda key: rollout(env, policy, key, 2, 10, chunk_length=3))
    assert run(jax.random.PRNGKey(0)).survival.tolist() == [8, 8]
    closed = quick_jit(lambda key: rollout(env, lambda o, a: policy(o, a)[:, :1], key, 2, 10))
    assert closed(jax.random.PRNGKey(0)).survival.tolist() == [2, 2]


def test_deciding_is_computed_only_where_it_is_due():
    """In an evaluation, whose episodes are in step, every third time."""
    asked = []

    def policy(obs, age):
        jax.debug.callback(lambda a: asked.append(int(a[0])), age)
        return jnp.zeros((len(obs), 3))

    run = jax.jit(lambda key: rollout(Ruler(), policy, key, 4, 10, chunk_length=3))
    jax.block_until_ready(run(jax.random.PRNGKey(0)))
    jax.effects_barrier()
    assert sorted(asked) == [0, 3, 6, 9]


def test_a_chunk_of_one_is_nothing_to_carry():
    assert chunks.begin(4, 1, 2) is None
    action, held = chunks.carry_out(None, jnp.zeros(4, jnp.int32), lambda: jnp.ones((4, 2)))
    assert held is None and action.shape == (4, 2)
    program, _ = split(RunConfig(**SETTINGS))
    assert jax.eval_shape(train._Kernel(program).init, jax.random.PRNGKey(0)).chunk is None


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_program_with_chunks_writes_its_ring_in_place(seeds):
    """traps 20, 23: drawing anchors again copies nothing of the replay."""
    config = RunConfig(**{**SETTINGS, "replay_capacity": 20_000}, agent="ac_crl")
    program, hyper = split(config)
    trainer = train.make_trainer(program, seeds)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((seeds, 2), jnp.uint32))
    tally = jax.eval_shape(trainer.start_tally, state)
    number = jax.ShapeDtypeStruct((), jnp.int32)
    memory = trainer.epoch.lower(hyper, state, tally, number, number).compile().memory_analysis()
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves((state, tally)))
    assert memory.alias_size_in_bytes == size
    action = state.replay.rows.action
    assert memory.temp_size_in_bytes < action.size * action.dtype.itemsize / 2


# --- checkpoints -------------------------------------------------------------------------
POSITION = Position(("run",), 0, 0, 0.0, 0.0, 1)


def carry_of(agent):
    """TrainState and Tally of a fresh program, and their shapes."""
    trainer = train.make_trainer(split(RunConfig(**SETTINGS, agent=agent))[0], 1)
    state = trainer.init(jax.random.PRNGKey(0)[None])
    carry = state, trainer.start_tally(state)
    return carry, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), carry)


def test_a_checkpoint_holds_the_chunk_that_is_carried_out(tmp_path):
    (state, tally), shapes = carry_of("ac_crl")
    state = state._replace(chunk=jax.random.normal(jax.random.PRNGKey(1), state.chunk.shape))
    checkpoint.save(tmp_path, POSITION, state, tally)
    found, _ = checkpoint.restore(tmp_path, POSITION, *shapes)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert found.chunk.tobytes() == state.chunk.tobytes() and found.chunk.shape == (1, 16, 3, 2)


def without(record, *names):
    """A tuple of the same values that knows no fields of these names."""
    kept = [name for name in record._fields if name not in names]
    return namedtuple("Before", kept)(**{name: getattr(record, name) for name in kept})


def test_checkpoints_of_before_there_were_chunks_are_gone_on_from(tmp_path):
    """Saved by orbax as they were then: tuples that know no chunk, no watch and no ratios (schema 1)."""
    (state, tally), shapes = carry_of("crl")
    sums = {name: x + 3 for name, x in tally.sums.items() if not name.endswith("_update_ratio")}
    assert 0 < len(sums) < len(tally.sums)
    saved = {"state": without(state, "chunk", "watch"), "tally": tally._replace(sums=sums)}
    ocp.save(tmp_path / "1" / "state", saved)
    (tmp_path / "1" / "position.json").write_text("{}")
    found, found_tally = checkpoint.restore(tmp_path, POSITION, *shapes)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    bare = [jax.tree.leaves(without(x, "watch")) for x in (found, state)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*bare, strict=True))
    assert found.watch.onset.tolist() == [NEVER] and found.watch.updates.tolist() == [0]
    assert jnp.all(jnp.isposinf(found.watch.largest))
    assert {k: float(v[0]) for k, v in found_tally.sums.items()} == {
        k: 3.0 * (k in sums) for k in tally.sums
    }
