"""Parameters, FLOPs and bytes are those of the arrays; predictions grow with what costs more."""

import itertools
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from crlscale.config import RunConfig
from crlscale.cost import (
    MATMUL_SHARE,
    actor_parameters,
    checkpoint_bytes,
    cost,
    critic_parameters,
    device_bytes,
    evaluation_env_steps,
    free_memory,
    host_bytes,
    memory_bytes,
    record_bytes,
    replay_bytes,
    run_seconds,
    train_flops,
    update_flops,
    update_seconds,
)
from crlscale.counts import collector_parameters, decisions, target_parameters
from crlscale.depths import check_depth, halves
from crlscale.methods import METHODS
from crlscale.presets import PRESETS, preset_settings
from crlscale.program import split
from crlscale.settings import make_config
from crlscale.train import make_trainer


def config_of(**settings):
    small = {"env": "chain_4", "depth": 4, "width": 16, "batch_size": 32}
    return make_config({**preset_settings("smoke"), **small, **settings})


def shapes(config):
    """TrainState of one seed, as shapes."""
    keys = jax.ShapeDtypeStruct((1, 2), jnp.uint32)
    return jax.eval_shape(make_trainer(split(config)[0], 1).init, keys)


def elements(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "settings",
    [
        *({"depth": depth} for depth in (1, 2, 3, 4, 8, 12, 16)),
        {"actor_depth": 16, "critic_depth": 2},
        {"actor_depth": 1, "critic_depth": 8, "width": 24},
        {"block_size": 2, "depth": 6},
        {"env": "point_big_maze", "representation_size": 7, "width": 5},
        {"env": "chain_64", "width": 33},
        *({"agent": agent, "actor_depth": 8} for agent in METHODS),
        {"agent": "td3", "collector_depth": 12},
        {"agent": "safe_crl", "chunk_length": 5},
        {"chunk_length": 2, "collector_depth": 8},
        {"trajectory_negatives": 2},
        *({"agent": "srl", "depth": depth} for depth in (1, 2, 3, 12)),
        {"agent": "srl", "block_size": 2, "depth": 6, "survival_bins": 9, "width": 5},
        {"agent": "srl", "episode_length": 100, "hyperspherical": True},
    ],
    ids=str,
)
def test_parameters_are_those_of_the_arrays(settings):
    config = config_of(**settings)
    state = shapes(config)
    agent, collector = state.agent, state.collector
    assert actor_parameters(config) == elements(agent.actor)
    assert critic_parameters(config) == elements(getattr(agent, "critic", None))
    targets = [getattr(agent, name, None) for name in ("target", "actor_target")]
    assert target_parameters(config) == elements(targets)
    parts = (getattr(collector, name, None) for name in ("actor", "critic"))
    assert collector_parameters(config) == sum(map(elements, parts))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"env": "point_u_maze", "num_envs": 3},
        {"replay_capacity": 101, "unroll_length": 25},
        {"env": "chain_64"},
        {"agent": "sac"},
        {"agent": "gcsl"},
        {"agent": "ac_crl"},
        {"replay_precision": "bfloat16"},
        {"replay_precision": "bfloat16", "agent": "sac", "replay_capacity": 101},
    ],
    ids=str,
)
def test_replay_bytes_are_those_of_the_arrays(settings):
    config = config_of(**settings)
    replay = shapes(config).replay
    assert replay_bytes(config) == sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(replay))


def test_flops_of_a_case_worked_by_hand():
    """chain_4: state 8, goal 2, action 4; width 16, depth 4, embeddings of 64, batch 32.

    FLOPs of a row: actor 2*16*(10 + 4*16 + 8) = 2624, state-action 2*16*(12 + 64 + 64) = 4480,
    goal 2*16*(2 + 64 + 64) = 4160; energies of a row with 32 goals 2*32*64 = 4096.
    An update: actor forward and backward 3, critic 3 for each encoder, and 2 through the
    state-action encoder to the action (forward, backward to its input); energies 3."""
    config = config_of()
    assert update_flops(config) == 32 * (3 * 2624 + 5 * 4480 + 3 * 4160 + 3 * 4096)
    acting = config.total_env_steps * 2624
    assert train_flops(config) == config.total_updates * update_flops(config) + acting


def test_flops_follow_depth_and_batch_exactly():
    base, deeper = config_of(depth=8), config_of(depth=12)
    layers = 32 * 2 * 16 * 4 * 16 * 11  # four more layers in each of 11 forward-equivalents
    assert update_flops(deeper) - update_flops(base) == layers
    actor_only = config_of(depth=8, actor_depth=12)
    assert update_flops(actor_only) - update_flops(base) == layers * 3 / 11


def test_flops_of_the_other_methods_worked_by_hand():
    """The same sizes. A critic 2*16*(14 + 64 + 1) = 2528, TD3's actor 2*16*(10 + 64 + 4) = 2496, GCSL's
    2*16*(11 + 64 + 8) = 2656. SAC: actor 3 for its loss and 1 for the next action; two critics 3 for their
    loss, 2 for the actor's, 1 of the target. TD3: the actor's loss at every second update, through one
    critic: actor 1 + 3/2, critics 2*3 + 2*1 + 2/2."""
    flops = {agent: update_flops(config_of(agent=agent)) / 32 for agent in METHODS}
    sac, td3 = 4 * 2624 + 2 * 6 * 2528, 2.5 * 2496 + 9 * 2528
    expected = {"sac": sac, "sac_her": sac, "td3": td3, "td3_her": td3}
    expected |= {"gcbc": 3 * 2624, "gcsl": 3 * 2656}
    # three actions of 4: the actor's heads are 24, the encoder sees 8 + 12
    expected["ac_crl"] = 3 * 2 * 16 * (10 + 64 + 24) + 5 * 2 * 16 * (20 + 128) + 3 * 4160 + 3 * 4096
    expected["safe_crl"] = flops["crl"] + 5 * 2 * 16 * (12 + 64 + 1)  # four layers at every depth
    assert {agent: flops[agent] for agent in expected} == expected


def test_flops_of_survival_methods_worked_by_hand():
    """The same sizes at depth 8, 50 bins; ChronoSRL below without chunks: encoders of 8 layers, 32 more
    outputs of the joined trunk, distances of 32 x 32 pairs. Encoders of 4 layers each: state-action 2*16*(12 + 64 + 64) =
    4480; goal 2*16*(2 + 64 + 64) and its scale and shift, 2*2*64*64, together 20544; the joined trunk
    2*16*(256 + 8*16 + 1 + 50) and the basis 2*50*50, together 18920. The goal is encoded once."""
    actor = 2 * 16 * (10 + 8 * 16 + 8)
    assert update_flops(config_of(agent="srl", depth=8)) == 32 * (
        3 * actor + 5 * 4480 + 3 * 20544 + 5 * 18920
    )
    chrono = update_flops(config_of(agent="chrono_srl", depth=8, chunk_length=1))
    more = 8 * 2 * 16 * 4 * 16 + 5 * 2 * 16 * 32 + 3 * 2 * 32 * 64
    assert chrono == update_flops(config_of(agent="srl", depth=8)) + 32 * more


@pytest.mark.parametrize(
    ("depth", "halves_of_it"), [(1, (1, 1)), (2, (1, 1)), (3, (2, 1)), (4, (2, 2)), (12, (8, 4))]
)
def test_both_encoders_share_the_depth(depth, halves_of_it):
    """And are legal themselves; the arrays of those of 12 layers are compared above."""
    assert halves(depth, 4) == halves_of_it
    for block in (1, 2, 3, 4, 5):
        for legal in [*range(2, block), *range(block, 60, block)][1:]:
            larger, smaller = halves(legal, block)
            assert larger + smaller == legal and 0 <= larger - smaller <= block
            check_depth("depth", larger, block), check_depth("depth", smaller, block)


def test_a_collector_costs_what_an_agent_of_its_depth_costs():
    alone, with_collector = config_of(depth=4), config_of(depth=4, collector_depth=8)
    deep = config_of(depth=8)
    assert update_flops(with_collector) == update_flops(alone) + update_flops(deep)
    acting = train_flops(deep) - deep.total_updates * update_flops(deep)
    updates = alone.total_updates * update_flops(with_collector)
    assert train_flops(with_collector) == updates + acting


def test_a_chunk_is_decided_once_by_hand():
    """Episodes of 50 steps in chunks of 3 take 17 decisions each. The smoke preset runs 2 + 2 unrolls of
    25 steps in each of 16 envs: two episodes."""
    config = config_of(agent="ac_crl", env_steps=800)
    assert config.total_env_steps == 16 * 100
    assert decisions(config) == 16 * 2 * 17
    assert decisions(config_of(chunk_length=4, episode_length=30)) == 16 * (3 * 8 + 3)
    assert decisions(config_of()) == config.total_env_steps
    acting = train_flops(config) - config.total_updates * update_flops(config)
    assert acting == 16 * 2 * 17 * 2 * 16 * (10 + 64 + 24)


def test_trajectory_negatives_cost_their_goals_and_one_energy_each_by_hand():
    """Five more goals a row through the goal encoder, forward and backward, and 5 more energies a row."""
    plain, more = config_of(), config_of(trajectory_negatives=5)
    assert update_flops(more) - update_flops(plain) == 32 * 5 * (3 * 4160 + 3 * 2 * 64)
    assert device_bytes(more) > device_bytes(plain) and update_seconds(more) > update_seconds(plain)


@pytest.mark.parametrize(
    ("agent", "more"),
    [
        ("crl", {}),
        ("ac_crl", {}),
        ("sac", {}),
        ("gcbc", {}),
        ("srl", {}),
        ("chrono_srl", {}),
        ("crl", {"trajectory_negatives": 2}),
    ],
    ids=str,
)
def test_flops_are_those_that_xla_counts(agent, more):
    """One block, so nothing is computed twice and no loop hides its length. XLA also counts
    LayerNorm, swish and Adam, which shrink beside the matmuls as width and batch grow."""
    config = config_of(agent=agent, depth=4, width=256, batch_size=256, **more)
    trainer = make_trainer(split(config)[0], 1)
    state = shapes(config)
    tally = jax.eval_shape(trainer.start_tally, state)
    count = jax.ShapeDtypeStruct((), jnp.int32)
    lowered = trainer.epoch.lower(split(config)[1], state, tally, count, count)
    # one phase of one update: XLA counts the body of a loop once, so one env step too
    heads = 8 * config.chunk_steps
    acting = config.num_envs * 2 * config.width * (10 + 4 * config.width + heads)
    counted = lowered.cost_analysis()["flops"] - acting
    assert update_flops(config) == pytest.approx(counted, rel=0.1)


@pytest.mark.parametrize(
    "key, levels",
    [
        ("depth", [4, 16, 64, 256, 1024]),
        ("width", [16, 64, 256, 1024]),
        ("batch_size", [32, 128, 512, 2048]),
        ("num_envs", [16, 64, 256, 1024]),
    ],
)
def test_more_costs_more(key, levels):
    costs = [asdict(cost(config_of(**{key: level}))) for level in levels]
    for smaller, larger in itertools.pairwise(costs):
        assert larger["memory_bytes"] > smaller["memory_bytes"]
        assert larger["seconds"] > smaller["seconds"]
        assert larger["train_flops"] > smaller["train_flops"]
        if key in ("depth", "width"):
            assert larger["actor_parameters"] > smaller["actor_parameters"]
            assert larger["critic_parameters"] > smaller["critic_parameters"]


def test_an_update_of_more_takes_longer():
    for key, levels in {"depth": (4, 64), "width": (16, 256), "batch_size": (32, 512)}.items():
        small, large = (update_seconds(config_of(**{key: level})) for level in levels)
        assert large > small


def test_memory_holds_what_a_program_holds():
    """Parameters, both Adam moments and gradients, the ring; of each seed in the program."""
    config = config_of(width=512, depth=16, replay_capacity=50_000)
    parameters = actor_parameters(config) + critic_parameters(config)
    held = 4 * 4 * parameters + replay_bytes(config)
    one, three = memory_bytes(config), memory_bytes(config, 3)
    assert one > held
    assert three - one >= 2 * held
    assert cost(config, 3).memory_bytes == three


def test_host_and_device_share_a_cpu():
    config = config_of(depth=16)
    assert memory_bytes(config, 2) == host_bytes(config) + device_bytes(config, 2)
    assert host_bytes(config_of(env="ant")) > host_bytes(config)
    assert host_bytes(config_of(depth=1024)) == host_bytes(config)  # program size is constant in depth


def test_checkpoint_holds_parameters_moments_and_the_ring():
    config = config_of(depth=16, width=64)
    agent = shapes(config).agent
    held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(agent))
    assert checkpoint_bytes(config) == pytest.approx(held + replay_bytes(config), rel=0.01)


def test_what_stays_of_a_run_is_about_what_a_run_of_the_committed_study_left():
    folder = Path(__file__).parent.parent / "results" / "depth-chain_8-laptop-a7232c2a"
    config = make_config({**preset_settings("laptop"), "depth": 4})
    left = [
        sum(path.stat().st_size for path in run.iterdir()) for run in folder.glob("runs/chain_8-d4-*")
    ]
    assert len(left) == 5
    assert max(left) < record_bytes(config) < 5 * min(left)  # but for the log, which is not committed


def test_env_steps_of_evaluations_by_hand():
    """Row 0 and two more, 16 episodes of 50 steps each."""
    config = config_of()
    assert evaluation_env_steps(config) == (2 + 1) * 16 * config.episode_length


def test_a_rate_that_is_given_is_used():
    config = config_of(width=256, batch_size=512, depth=16)
    slow, fast = run_seconds(config, rate=1e9), run_seconds(config, rate=1e12)
    flops = config.total_updates * update_flops(config) / MATMUL_SHARE
    assert slow - fast == pytest.approx(flops * (1e-9 - 1e-12), rel=0.2)
    assert run_seconds(config, warm=True, rate=1e9) < slow


@pytest.mark.parametrize("preset", PRESETS)
def test_cost_of_every_preset_is_finite(preset):
    found = cost(make_config({**preset_settings(preset), "depth": 1024}))
    assert all(0 < value < 1e25 for value in asdict(found).values())


def test_free_memory_is_of_this_machine():
    assert 1e8 < free_memory() < 1e14


@pytest.mark.parametrize("cache", ["missing", "damaged", "refusing"])
def test_calibration_needs_no_cache(tmp_path, cache):
    folder = tmp_path / "cache"
    if cache == "refusing":
        folder.write_text("a file")
    if cache == "damaged":
        folder.mkdir()
        (folder / "matmul.json").write_text('{"32x16": 1')
    program = "from crlscale.cost import cost; from crlscale.settings import make_config;"
    program += "print(cost(make_config({'width': 16, 'batch_size': 32})).seconds)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"CRLSCALE_CACHE": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) > 0
    if cache != "refusing":
        assert all(rate > 0 for rate in json.loads((folder / "matmul.json").read_text()).values())


def test_time_to_learn_when_a_goal_is_reached():
    """Measured on one core of ours (srl on reacher, depth 4, width 64, batch 256): 18.8 ms of CPU an
    update with 1,000 steps and bins, 8.8 ms with 20 bins, 5.8 ms with 50 of both; 1.6 ms of each are
    not explained. Without the bins and the search it was 5.6 ms for the first."""
    plain = {"env": "reacher", "agent": "srl", "depth": 4, "width": 64, "batch_size": 256}
    long, binned, short = (
        update_seconds(RunConfig(**plain, **more), rate=8e10)
        for more in ({}, {"survival_bins": 20}, {"survival_horizon": 50})
    )
    assert long - short == pytest.approx(13.0e-3, rel=0.15)
    assert long - binned == pytest.approx(10.0e-3, rel=0.15)
    assert long == pytest.approx(18.8e-3, rel=0.15)
