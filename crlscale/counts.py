"""What a run has and computes, counted exactly: parameters, FLOPs, bytes of the replay.

The networks are those that crlscale.methods lists; tests compare the counts with the arrays themselves.
S state, A action, G goal, R representation, W width, D depth, B batch.
"""

import math

from crlscale.architecture import block_shape
from crlscale.config import RunConfig
from crlscale.depths import halves
from crlscale.methods import HAZARD_RANK, OCCUPANCY_BINS, Network
from crlscale.survival_fields import survival_bins, survival_horizon

FLOAT = 4  # bytes


def actor_parameters(config: RunConfig) -> int:
    """Weights and biases of the actor."""
    return _parameters(config, config.method.actor)


def critic_parameters(config: RunConfig) -> int:
    """Weights and biases of all critics or encoders, targets not counted."""
    return sum(_parameters(config, network) for network in config.method.critic)


def target_parameters(config: RunConfig) -> int:
    """Weights and biases of all slowly moving targets."""
    return sum(_parameters(config, network) for network in _networks(config) if network.target)


def collector_parameters(config: RunConfig) -> int:
    """Weights and biases of the agent that collects in place of the studied one, targets not counted."""
    collector = _collector(config)
    return actor_parameters(collector) + critic_parameters(collector) if collector else 0


def trained_parameters(config: RunConfig) -> int:
    """Weights and biases that an update steps, a collector's too."""
    return actor_parameters(config) + critic_parameters(config) + collector_parameters(config)


def acting_parameters(config: RunConfig) -> int:
    """Weights and biases of the actor that acts in the envs."""
    return actor_parameters(_collector(config) or config)


def trunk_layers(config: RunConfig) -> tuple[int, int]:
    """Dense layers in the trunk of the actor, and in those of all critics or encoders together; copies
    count, targets do not."""
    critics = sum(network.copies * _depth(config, network) for network in config.method.critic)
    return _depth(config, config.method.actor), critics


def trained_blocks(config: RunConfig) -> int:
    """Residual blocks of all networks that learn, targets not counted."""
    return sum(
        network.copies * block_shape(_depth(config, network), config.block_size)[0]
        for network in _networks(config)
    )


def layers_passed(config: RunConfig) -> float:
    """Layers of width W, the first one too, that a row passes in one update, in forward-equivalents,
    a collector's too."""
    own = sum(_passes(config, n) * (_depth(config, n) + 1) for n in _networks(config))
    collector = _collector(config)
    return own + (layers_passed(collector) if collector else 0)


def update_flops(config: RunConfig) -> float:
    """Dense FLOPs of one update: each forward-equivalent of each network (crlscale.methods) by the
    layers it really has, plus the energies of B x B pairs and those of a row with its k trajectory
    negatives, and the same of a collector.
    Recomputation under checkpointing is not counted."""
    batch = config.batch_size
    passes = sum(_passes(config, n) * _forward(config, n) for n in _networks(config))
    energies = 3 * 2 * pairs(config) * config.representation_size
    collector = _collector(config)
    return batch * passes + energies + (update_flops(collector) if collector else 0)


def pairs(config: RunConfig) -> int:
    """Energies of one contrastive loss: B x B, and B x k."""
    batch = config.batch_size
    return batch * (batch + config.trajectory_negatives) if config.method.pairs else 0


def train_flops(config: RunConfig) -> float:
    """Dense FLOPs of all updates and of acting in the envs; evaluation is not counted."""
    acting = _forward(_collector(config) or config, config.method.actor)
    return config.total_updates * update_flops(config) + decisions(config) * acting


def decisions(config: RunConfig) -> int:
    """How often actors decide in the envs, if no episode fails: once a chunk, and at every start."""
    episodes, rest = divmod(config.total_env_steps // config.num_envs, config.episode_length)
    chunks = [math.ceil(steps / config.chunk_steps) for steps in (config.episode_length, rest)]
    return config.num_envs * (episodes * chunks[0] + chunks[1])


def replay_bytes(config: RunConfig) -> int:
    """Bytes of the ring buffer: state (2 or 4 a number), action, reached goal, ending and two int32 a row,
    and the commanded goal where the method needs it."""
    task = config.task
    goals = 2 if config.method.commanded else 1
    state = task.state_size * (FLOAT if config.replay_precision == "float32" else 2)
    row = state + FLOAT * (task.action_size + goals * task.goal_size) + 1 + 2 * 4
    return config.replay_rows * config.num_envs * row


# --- networks ------------------------------------------------------------------------------
def _networks(config: RunConfig) -> tuple[Network, ...]:
    return (config.method.actor, *config.method.critic)


def _collector(config: RunConfig) -> RunConfig | None:
    """The config of the agent that acts in place of the studied one."""
    depth = config.collector_depth
    depths = {"depth": depth, "actor_depth": None, "critic_depth": None, "collector_depth": None}
    return None if depth is None else config.model_copy(update=depths)


def _passes(config: RunConfig, network: Network) -> float:
    """Forward-equivalents of one row, all copies together."""
    rows = 1 + config.trajectory_negatives * network.negatives
    return network.copies * network.passes * rows


def _depth(config: RunConfig, network: Network) -> int:
    if network.layers is not None:
        return network.layers
    acts = network is config.method.actor
    depth = config.actor_layers if acts else config.critic_layers
    if network.half is not None:
        return halves(depth, config.block_size)[network.half == "smaller"]
    return int(network.depth * depth)


def _sizes(config: RunConfig, names: tuple[str, ...]) -> int:
    task = config.task
    sizes = {
        "state": task.state_size,
        "action": task.action_size * config.chunk_steps,
        "goal": task.goal_size,
        "embedding": config.representation_size,
        "value": 1,
        "horizon": 1,
        "rank": min(HAZARD_RANK, survival_bins(config)),
        "bins": survival_bins(config),
        "occupancy": min(OCCUPANCY_BINS, survival_horizon(config)),
    }
    return sum(sizes[name] for name in names)


def _maps(config: RunConfig, network: Network) -> list[tuple[int, int]]:
    """Inputs and outputs of the linear layers behind the heads."""
    return [(_sizes(config, (one,)), _sizes(config, (other,))) for one, other in network.maps]


def _parameters(config: RunConfig, network: Network) -> int:
    """Weights and biases of all copies."""
    trunk = config.architecture.trunk_parameters(
        _sizes(config, network.inputs), _depth(config, network)
    )
    heads = (config.width + 1) * _sizes(config, network.heads)
    maps = sum((inputs + 1) * outputs for inputs, outputs in _maps(config, network))
    norms = 2 * _sizes(config, network.norms)  # scale and shift
    return network.copies * (trunk + heads + maps + norms)


def _forward(config: RunConfig, network: Network) -> float:
    """FLOPs of one copy for one row."""
    sizes = _sizes(config, network.inputs) + _sizes(config, network.heads)
    trunk = config.width * (sizes + _depth(config, network) * config.width)
    return 2.0 * (trunk + sum(inputs * outputs for inputs, outputs in _maps(config, network)))
