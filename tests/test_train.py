"""The compiled kernel on a tiny arm: counts, keys, memory, recompiles, divergence, learning.

Everything here shares two programs: two seeds under vmap (`pair`) and one seed alone (`alone`).
"""

import dataclasses
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from crlscale import train
from crlscale.config import RunConfig
from crlscale.envs import episode
from crlscale.envs.registry import task_spec
from crlscale.instability import KINDS
from crlscale.program import Hyper, split

CONFIG = RunConfig(
    env="chain_2",
    depth=2,
    width=32,
    representation_size=16,
    batch_size=64,
    num_envs=16,
    unroll_length=10,
    episode_length=25,
    prefill_steps=35,
    replay_capacity=19_995,
    updates_per_phase=8,
    env_steps=1000,
    evaluations=2,
    eval_episodes=64,
    actor_learning_rate=1e-3,
    critic_learning_rate=1e-3,
    discount=0.9,
)
PROGRAM, HYPER = split(CONFIG)
NEVER = 2**31 - 1
HEADS = ("mean", "log_std")


def keys(*seeds):
    return jnp.stack([jax.random.PRNGKey(seed) for seed in seeds])


def count(number):
    return jnp.int32(number)


def copy(tree):
    """The kernel donates what it is given."""
    return jax.tree.map(jnp.copy, tree)


def host(tree):
    return jax.tree.map(np.asarray, tree)


def same(one, other):
    pairs = zip(jax.tree.leaves(host(one)), jax.tree.leaves(host(other)), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def bytes_of(tree):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


@pytest.fixture(scope="module", autouse=True)
def compile_cache():
    """What is lowered for inspection and what is called are the same program: compile it once."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", os.path.join(os.environ["CRLSCALE_CACHE"], "xla"))
    yield
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.fixture(scope="module")
def pair():
    return train.make_trainer(PROGRAM, 2)


@pytest.fixture(scope="module")
def alone():
    return train.make_trainer(PROGRAM, 1)


def epoch(trainer, state, tally, phases, updates, hyper=HYPER):
    return trainer.epoch(hyper, copy(state), copy(tally), count(phases), count(updates))


def prefilled(trainer, *seeds):
    state = trainer.init(keys(*seeds))
    state, _ = epoch(trainer, state, trainer.start_tally(state), CONFIG.prefill_unrolls, 0)
    return state, trainer.start_tally(state)


@pytest.fixture(scope="module")
def begun(pair):
    """TrainState and Tally of seeds 0 and 1 after the prefill."""
    return prefilled(pair, 0, 1)


# --- what an epoch does -----------------------------------------------------------------
def test_prefill_collects_and_learns_nothing(pair, begun):
    """trap 6: 35 steps of each env asked for are 4 whole unrolls of 10, without an update."""
    empty = pair.init(keys(0, 1))
    state, tally = begun
    assert int(empty.unrolls) == 0 and int(state.unrolls) == CONFIG.prefill_unrolls == 4
    assert same(empty.agent, state.agent) and int(tally.updates) == 0
    filled = np.abs(host(state.replay.rows.state)).sum((2, 3)) > 0
    assert filled[:, :40].all() and not filled[:, 40:].any()


def test_phases_in_one_call_or_in_three(pair, begun):
    """Bitwise, tally included."""
    together = epoch(pair, *begun, 3, 8)
    apart = begun
    for _ in range(3):
        apart = epoch(pair, *apart, 1, 8)
    assert same(together, apart)
    assert not same(together[0].agent, begun[0].agent)


def test_the_planned_steps_and_updates_are_run(pair, begun):
    """trap 16: the plan's exact numbers, counted in what ran."""
    state, tally = begun
    for _ in range(CONFIG.evaluations):
        state, tally = epoch(pair, state, tally, CONFIG.phases_per_epoch, CONFIG.updates)
    steps_each = int(state.unrolls) * CONFIG.unroll_length
    assert steps_each * CONFIG.num_envs == CONFIG.total_env_steps == 640 + 2 * 3 * 160
    assert int(tally.updates) == CONFIG.total_updates == 2 * 3 * 8
    lived = host(state.episodes.number) * 25 + host(state.episodes.age)
    assert (lived == steps_each).all(), "no env lost or repeated a step"


def test_same_seed_same_run_and_other_seed_other_run(pair, begun):
    assert same(epoch(pair, *prefilled(pair, 0, 1), 1, 8), epoch(pair, *begun, 1, 8))
    state, _ = begun
    first, second = (jax.tree.map(lambda x, z=z: x[z], state.replay.rows.state) for z in (0, 1))
    assert not np.array_equal(first[:40], second[:40])
    kernel = state.agent.actor["params"]["mean"]["kernel"]
    assert (kernel[0] != kernel[1]).all()
    swapped, _ = prefilled(pair, 1, 0)
    assert same(jax.tree.map(lambda x: x[::-1], swapped.replay.rows.state), state.replay.rows.state), (
        "a seed does not know its neighbours"
    )


def test_seeds_in_one_program_equal_seeds_alone(pair, alone, begun):
    """vmap and the single-seed program agree to float tolerance, after collecting and learning."""
    together, tally = epoch(pair, *begun, 1, 3)
    evaluated = host(pair.evaluate(together, keys(5, 6)))
    for z, seed in enumerate((0, 1)):
        state, own = epoch(alone, *prefilled(alone, seed), 1, 3)
        assert int(state.unrolls) == int(together.unrolls)
        for (path, a), b in zip(
            jax.tree.leaves_with_path((state._replace(unrolls=0), own.sums)),
            jax.tree.leaves((together._replace(unrolls=0), tally.sums)),
            strict=True,
        ):
            if np.ndim(a):
                np.testing.assert_allclose(
                    a[0], b[z], rtol=2e-3, atol=2e-4, err_msg=jax.tree_util.keystr(path)
                )
        single = host(alone.evaluate(state, keys(5 + z)))
        assert abs(single.time_at_goal[0] - evaluated.time_at_goal[z]).mean() < 0.1


# --- what it recorded -------------------------------------------------------------------
def test_the_replay_holds_true_episodes(pair, begun):
    """traps 1 to 4 in the compiled program: 25-step episodes, each with a start of its own, the
    state of one row leading to the next, and what was reached a function of the true successor."""
    state, _ = epoch(pair, *begun, 4, 0)
    rows = jax.tree.map(lambda x: np.asarray(x[0, :80]), state.replay.rows)
    time = np.arange(80)
    assert (rows.episode == (time // 25)[:, None]).all()
    ending = np.where(time % 25 == 24, episode.TIME_LIMIT, episode.RUNNING)
    assert (rows.ending == ending[:, None]).all()
    angle = np.arctan2(rows.state[..., 2:], rows.state[..., :2])
    turned = angle + 0.15 * rows.action
    heading = np.cumsum(turned, -1)
    tip = np.stack([np.cos(heading).mean(-1), np.sin(heading).mean(-1)], -1)
    np.testing.assert_allclose(rows.reached, tip, atol=1e-5)
    follows = np.abs(np.sin(turned[:-1]) - rows.state[1:, :, 2:]).max(-1) < 1e-5
    assert (follows == (time[:-1] % 25 != 24)[:, None]).all()
    starts = rows.state[::25].reshape(-1, 4)
    assert len(np.unique(starts, axis=0)) == len(starts) == 4 * 16
    tables = host(state.replay.ends)[0]
    assert (tables[:, :4] == [25, 50, 75, 80]).all() and (tables[:, 4:] == 0).all()


def test_every_action_has_a_noise_of_its_own(pair, begun):
    """trap 11: an actor that sees nothing shows its noise; over envs, steps, unrolls and seeds none
    comes twice."""
    state, tally = begun
    heads = {name: jax.tree.map(jnp.zeros_like, state.agent.actor["params"][name]) for name in HEADS}
    blind = {"params": {**state.agent.actor["params"], **heads}}
    state = state._replace(agent=state.agent._replace(actor=blind))
    state, _ = epoch(pair, state, tally, 2, 0)
    actions = np.asarray(state.replay.rows.action[:, 40:60]).reshape(-1, 2)
    noise = np.arctanh(actions.astype(np.float64)) / np.exp(-1.5)
    assert len(np.unique(actions, axis=0)) == len(actions) == 2 * 20 * 16
    assert len(np.unique(actions)) > 0.99 * actions.size
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.15)
    np.testing.assert_allclose(noise.std(0), 1, atol=0.1)


# --- tally ------------------------------------------------------------------------------
def test_tally_is_the_mean_of_the_updates(pair, begun):
    """trap 10: sums over the very updates that ran, recomputed one by one from the same data."""
    kernel = train._Kernel(PROGRAM)
    collected, _ = epoch(pair, *begun, 1, 0)
    own = jax.tree.map(lambda x: x[0] if np.ndim(x) else x, collected)
    agent, key, seen = own.agent, own.key, []
    step = jax.jit(partial(kernel._update, kernel.nets))
    for _ in range(3):
        update_key, key = jax.random.split(key)
        agent, metrics = step(HYPER, agent, own, update_key)
        seen.append(host(metrics))
    state, tally = epoch(pair, *begun, 1, 3)
    summary = host(pair.summary(state, tally))
    for name in seen[0]:
        expected = np.mean([metrics[name] for metrics in seen])
        np.testing.assert_allclose(summary[name][0], expected, rtol=2e-3, atol=1e-4, err_msg=name)
    assert len({float(m["critic_loss"]) for m in seen}) == 3
    for a, b in zip(jax.tree.leaves(state.agent.actor), jax.tree.leaves(agent.actor), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=2e-3, atol=2e-4)
    assert summary["first_nonfinite"].tolist() == [NEVER, NEVER]
    weights = [np.ravel(x[0]) for x in jax.tree.leaves(host(state.agent.critic.goal))]
    np.testing.assert_allclose(
        summary["goal_parameter_norm"][0], np.linalg.norm(np.concatenate(weights)), rtol=1e-5
    )


def test_first_nonfinite_update_is_found_and_kept(pair, begun):
    """An absurd step size leaves the first loss finite and no later one."""
    absurd = HYPER._replace(
        actor_learning_rate=jnp.float32(1e30), critic_learning_rate=jnp.float32(1e30)
    )
    state, tally = epoch(pair, *begun, 1, 4, absurd)
    assert np.asarray(tally.first_nonfinite).tolist() == [1, 1]
    _, tally = epoch(pair, state, tally, 1, 4)
    assert np.asarray(tally.first_nonfinite).tolist() == [1, 1]
    assert not np.isfinite(host(pair.summary(state, tally))["critic_loss"]).any()


# --- instability ------------------------------------------------------------------------
def test_instability_is_found_and_kept_over_epochs(pair, begun):
    """A step size of 10 moves the networks by more than they are; a sane one breaks no rule."""
    absurd = HYPER._replace(
        actor_learning_rate=jnp.float32(10.0), critic_learning_rate=jnp.float32(10.0)
    )
    sane, tally = epoch(pair, *begun, 1, 4)
    assert host(pair.summary(sane, tally))["instability_onset"].tolist() == [NEVER, NEVER]
    state, _ = epoch(pair, sane, pair.start_tally(sane), 1, 4, absurd)
    state, tally = epoch(pair, state, pair.start_tally(state), 2, 4)
    summary = host(pair.summary(state, tally))
    assert summary["instability_onset"].tolist() == [4, 4], "updates of all epochs count"
    assert [KINDS[kind] for kind in summary["instability_kind"]] == 2 * ["actor_update_ratio"]
    assert host(state.watch.updates).tolist() == [16, 16]


def test_each_seed_has_an_onset_of_its_own(pair, begun):
    """Only the second seed's actor is broken, which its first update shows."""
    state, tally = begun
    actor = jax.tree.map(lambda x: x.at[1].set(jnp.nan), state.agent.actor)
    state = state._replace(agent=state.agent._replace(actor=actor))
    state, _ = epoch(pair, state, tally, 1, 2)
    assert host(state.watch.onset).tolist() == [NEVER, 0]
    assert KINDS[state.watch.kind[1]] == "nonfinite"


def test_update_ratios_are_what_an_update_moves(pair, begun):
    """||after - before|| / ||after|| of one update, in numpy; both learn with step size 1e-3."""
    state, tally = epoch(pair, *begun, 1, 1)
    summary = host(pair.summary(state, tally))
    for name, of in (("actor", lambda a: a.actor), ("goal", lambda a: a.critic.goal)):
        before, after = (
            np.concatenate([np.ravel(x[0]) for x in jax.tree.leaves(host(of(s.agent)))])
            for s in (begun[0], state)
        )
        wanted = np.linalg.norm(after - before) / np.linalg.norm(after)
        np.testing.assert_allclose(summary[f"{name}_update_ratio"][0], wanted, rtol=1e-3)
        assert 1e-3 < wanted < 0.1
    further = host(pair.summary(*epoch(pair, *begun, 1, 3)))  # one in ten is looked at, the first
    np.testing.assert_allclose(further["actor_update_ratio"], summary["actor_update_ratio"], rtol=1e-4)


# --- programs ---------------------------------------------------------------------------
VARIED = {
    "discount": 0.5,
    "hindsight_window": 2,
    "actor_learning_rate": 1e-4,
    "critic_learning_rate": 1e-4,
    "alpha_learning_rate": 1e-4,
    "logsumexp_penalty": 0.0,
    "target_entropy": -2.0,
    "warmup_updates": 100,
}
# what compiles another program where it is given at all
STRUCTURAL = {"gradient_clip": (1e-3, 2e-3)}


def test_every_traced_setting_is_varied():
    """Here, or for the methods that read it, in the tests of these."""
    others = {"hindsight_share", "polyak", "survival_weights", "survival_bonus"}
    others |= {"value_discount", "current_share", "random_share"}
    others |= {"distance_weight", "hinge_weight", "occupancy_weight"}
    assert {*VARIED, *STRUCTURAL, *others} == set(Hyper._fields)


@pytest.mark.parametrize("name", VARIED)
def test_traced_settings_change_the_run_and_not_the_program(pair, begun, name):
    """trap 9: each is read; and none of them compiles anything again."""
    base = epoch(pair, *begun, 1, 2)
    changed = split(CONFIG.model_copy(update={name: VARIED[name]}))
    assert changed[0] == PROGRAM
    other = epoch(pair, *begun, 1, 2, changed[1])
    assert not same(base[0].agent, other[0].agent)
    assert pair.epoch._cache_size() == 1


def test_a_limit_of_the_gradient_changes_the_run(alone):
    """Any limit is one more program; different limits share it (tests/test_optimiser.py)."""
    state = prefilled(alone, 0)
    base = epoch(alone, *state, 1, 3)
    for name, (value, other) in STRUCTURAL.items():
        ends = [
            epoch(alone, *state, 1, 3, split(CONFIG.model_copy(update={name: v}))[1])
            for v in (value, other)
        ]
        assert not same(base[0].agent, ends[0][0].agent) and not same(
            ends[0][0].agent, ends[1][0].agent
        )


def test_one_compile_of_everything(pair, begun):
    state, tally = begun
    for phases, updates in ((1, 1), (2, 3)):
        state, tally = epoch(pair, state, tally, phases, updates)
        pair.summary(state, tally)
        pair.start_tally(state)
        pair.evaluate(state, keys(phases, updates))
        pair.blocks(HYPER, state, keys(phases, updates))
        pair.init(keys(phases, updates))
    assert [jitted._cache_size() for jitted in pair] == [1] * len(pair)


STATIC = {
    "task": task_spec("chain_3"),
    "reset": "frozen",
    "agent": "gcbc",
    "energy": "dot",
    "contrastive_loss": "backward",
    "chunk_length": 3,
    "trajectory_negatives": 2,
    "collector_depth": 1,
    "actor_depth": 3,
    "critic_depth": 3,
    "architecture": dataclasses.replace(PROGRAM.architecture, width=16),
    "representation_size": 8,
    "batch_size": 32,
    "num_envs": 8,
    "unroll_length": 5,
    "episode_length": 24,
    "replay_rows": 20_010,
    "replay_capacity": 19_990,
    "replay_precision": "bfloat16",
    "eval_envs": 32,
}


# the same of fields that the base's method does not read: the agent that does, another value
STATIC_OF_OTHERS = {
    "exploration_noise": ("td3", 0.5),
    "commanded_horizon": ("gcsl", 3),
    "survival_horizon": ("srl", 40),
    "survival_bins": ("srl", 10),
    "censoring": ("srl", "horizon"),
    "dwell_steps": ("srl", 2),
}


def traced(program):
    """The program as text: shapes of its state, equations of its epoch and evaluation."""
    kernel = train._Kernel(program)
    state = jax.eval_shape(kernel.init, jax.random.PRNGKey(0))
    tally = jax.eval_shape(kernel.start_tally, state)
    epoch = jax.make_jaxpr(kernel.epoch)(HYPER, state, tally, count(1), count(1))
    return str(epoch) + str(jax.make_jaxpr(kernel.evaluate)(state, jax.random.PRNGKey(0)))


@pytest.mark.slow
def test_static_settings_change_the_program():
    """trap 9: every field of Program is read by the kernel; equal Programs are equal programs."""
    assert {*STATIC, *STATIC_OF_OTHERS} == {field.name for field in dataclasses.fields(PROGRAM)}
    texts = {"": traced(PROGRAM)}
    assert traced(dataclasses.replace(PROGRAM)) == texts[""]
    for name, value in STATIC.items():
        program = dataclasses.replace(PROGRAM, **{name: value})
        assert program != PROGRAM
        texts[name] = traced(program)
    assert len(set(texts.values())) == len(texts)
    for name, (agent, value) in STATIC_OF_OTHERS.items():
        base = dataclasses.replace(PROGRAM, agent=agent)
        assert traced(dataclasses.replace(base, **{name: value})) != traced(base)


HALVED = dataclasses.replace(PROGRAM, replay_precision="bfloat16")


@pytest.mark.parametrize("program, seeds, row", [(PROGRAM, 1, 41), (PROGRAM, 2, 41), (HALVED, 1, 33)])
def test_the_ring_is_written_in_place(program, seeds, row):
    """traps 20, 23: the epoch reuses every byte of what it is given and has no room for a copy of any
    array of the replay but its smallest, the endings: actions take 8 bytes of a row, states in bfloat16
    8 too, and 16 if they became float32 as a whole."""
    trainer = train.make_trainer(program, seeds)
    state = jax.eval_shape(trainer.init, keys(*range(seeds)))
    tally = jax.eval_shape(trainer.start_tally, state)
    compiled = trainer.epoch.lower(HYPER, state, tally, count(1), count(1)).compile()
    memory = compiled.memory_analysis()
    assert bytes_of(state.replay) == seeds * CONFIG.replay_rows * CONFIG.num_envs * row
    assert memory.alias_size_in_bytes == bytes_of((state, tally))
    assert memory.temp_size_in_bytes < bytes_of(state.replay.rows.action) / 2


def test_donated_buffers_are_gone(pair, begun):
    """trap 23: the old state cannot be read, so nothing keeps two replays."""
    state, tally = copy(begun)
    pair.epoch(HYPER, state, tally, count(1), count(0))
    assert state.replay.rows.state.is_deleted()


# --- evaluation and learning ------------------------------------------------------------
def test_evaluation(pair, begun):
    """128 fresh episodes of the whole length for each seed, repeatable by their key."""
    state, _ = begun
    outcome = host(pair.evaluate(state, keys(3, 4)))
    assert all(x.shape == (2, CONFIG.eval_envs) for x in outcome)
    assert (outcome.survival == CONFIG.episode_length).all()
    assert same(outcome, pair.evaluate(state, keys(3, 4)))
    assert not same(outcome, pair.evaluate(state, keys(5, 4)))


def test_it_learns(pair, begun):
    """5,000 updates on the two-link arm: time at goal goes from 0.1 to 6.7 of 25 steps (seeds 2 to
    5: 4.9 to 7.5)."""
    state, tally = begun
    before = host(pair.evaluate(state, keys(1, 2))).time_at_goal.mean(1)
    state, tally = epoch(pair, state, tally, 250, 20)
    after = host(pair.evaluate(state, keys(1, 2))).time_at_goal.mean(1)
    accuracy = host(pair.summary(state, tally))["categorical_accuracy"]
    assert (before < 3).all()
    assert (after > before + 3).all(), (before, after)
    assert (accuracy > 0.2).all(), "chance is 1 / 64"
