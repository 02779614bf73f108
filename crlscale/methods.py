"""The methods that a run may train, as plain data: one line of METHODS for each file of agents/.

A line says where the code is, which networks it has and what an update computes with them, so that a
plan counts parameters and FLOPs without jax. docs/methods.md tells what each method is.
Letters: S state, A action, G goal, R representation, D depth.
"""

import difflib
from dataclasses import dataclass

from crlscale.errors import CrlscaleError

SURVIVAL_LAYERS = 4  # of the network that predicts survival, whatever the depth
OCCUPANCY_BINS = 32  # of the share of time at a goal, at most one a step
HAZARD_RANK = 64  # numbers that say the hazards of all bins, at most one a bin


@dataclass(frozen=True)
class Network:
    """One residual network: a trunk of `depth` x D layers with linear heads.

    `inputs` and `heads` name sizes: state, action, goal, embedding (R), value (1), horizon (1), rank and
    bins (of the hazards), occupancy (bins of that). An action is that of a whole chunk. `maps` are more linear layers behind the
    heads, from one size to another, `norms` the sizes of LayerNorms there.
    `half`: its trunk has the "larger" or the "smaller" half of D (crlscale.depths), and `depth` is 0.5.
    `layers`: so many whatever D is. `passes` are the forward-equivalents of one update, for each of
    `copies` networks and its target together: a forward is 1, its backward 2, or 1 where only the
    input's gradient is taken.
    `target`: whether each copy has a slowly moving twin. `negatives`: whether a row passes once more for
    each of its `trajectory_negatives`."""

    inputs: tuple[str, ...]
    heads: tuple[str, ...]
    passes: float
    depth: float = 1
    half: str | None = None
    layers: int | None = None
    maps: tuple[tuple[str, str], ...] = ()
    norms: tuple[str, ...] = ()
    copies: int = 1
    target: bool = False
    negatives: bool = False


@dataclass(frozen=True)
class Method:
    """`module` has the functions that crlscale/agents/interface.py asks for; `words` is one line.

    `actor` is the network that acts, `critic` all others. `reads` are the config fields that not every
    method has; setting one of them for a method that does not read it is an error. `commanded`: the
    replay keeps the commanded goal of each step. `pairs`: a loss over B x B pairs of embeddings.
    `chunk_length`: actions decided at once where the config does not say (None: it has no chunks).
    `discount`: the decay of its hindsight goals, where its source has one for all tasks."""

    module: str
    words: str
    actor: Network
    critic: tuple[Network, ...] = ()
    reads: tuple[str, ...] = ()
    commanded: bool = False
    pairs: bool = False
    chunk_length: int | None = None
    discount: float | None = None


_POLICY, _GAUSSIAN = ("state", "goal"), ("action", "action")
_VALUE = ("state", "action", "goal")


def _gaussian(passes: float, *more_inputs: str) -> Network:
    return Network((*_POLICY, *more_inputs), _GAUSSIAN, passes)


def _sac(words: str, *reads: str) -> Method:
    # critics: 3 for their loss, 2 through them to the action, 1 for the target
    critics = Network(_VALUE, ("value",), 6, copies=2, target=True)
    actor = _gaussian(4)  # 3 for its loss, 1 for the next action
    return Method("crlscale.agents.sac", words, actor, (critics,), ("polyak", *reads), commanded=True)


def _td3(words: str, *reads: str) -> Method:
    # the actor learns at every second update, from the first critic
    critics = Network(_VALUE, ("value",), 4.5, copies=2, target=True)
    actor = Network(_POLICY, ("action",), 2.5, target=True)
    reads = ("polyak", "exploration_noise", *reads)
    return Method("crlscale.agents.td3", words, actor, (critics,), reads, commanded=True)


_ENCODERS = (
    Network(("state", "action"), ("embedding",), 5),
    Network(("goal",), ("embedding",), 3, negatives=True),
)


def _film_critic(*encoder_depths: dict, heads: tuple = ()) -> tuple[Network, ...]:
    """Encoders of state-action and goal, and the trunk that joins them, with more `heads`; the goal's is
    passed once."""
    joined, to_joined = ("embedding",) * 4, (("embedding", "embedding"),) * 2
    first, second = encoder_depths
    return (
        Network(("state", "action"), ("embedding",), 5, norms=("embedding",), **first),
        Network(("goal",), ("embedding",), 3, norms=("embedding",), maps=to_joined, **second),
        Network(joined, ("value", "rank", *heads), 5, maps=(("rank", "bins"),)),
    )


_HALVES = ({"depth": 0.5, "half": "larger"}, {"depth": 0.5, "half": "smaller"})
_SURVIVAL_FIELDS = (
    "survival_horizon",
    "survival_bins",
    "censoring",
    "dwell_steps",
    "value_discount",
    "current_share",
    "random_share",
    "chunk_length",
)


def _crl(words: str, chunk_length: int) -> Method:
    reads = ("energy", "contrastive_loss", "chunk_length", "trajectory_negatives")
    return Method(
        "crlscale.agents.crl",
        words,
        _gaussian(3),
        _ENCODERS,
        reads,
        pairs=True,
        chunk_length=chunk_length,
    )


METHODS: dict[str, Method] = {
    "crl": _crl("contrastive RL: a classifier of futures as critic, an entropy-regularised actor", 1),
    "ac_crl": _crl("the same with chunks: three actions decided at once", 3),
    "safe_crl": Method(
        "crlscale.agents.safe_crl",
        "contrastive RL for tasks that fail: rows weighed by survival mass, a bonus for survival",
        _gaussian(3),
        (*_ENCODERS, Network(("state", "action"), ("value",), 5, layers=SURVIVAL_LAYERS)),
        ("energy", "survival_weights", "survival_bonus", "chunk_length"),
        pairs=True,
        chunk_length=1,
    ),
    "srl": Method(
        "crlscale.agents.srl",
        "survival RL: hazards of reaching a goal by maximum likelihood, values that follow from them",
        _gaussian(3),
        _film_critic(*_HALVES),
        _SURVIVAL_FIELDS,
        chunk_length=1,
        discount=0.999,
    ),
    "chrono_srl": Method(
        "crlscale.agents.chrono_srl",
        "survival RL whose embeddings are as far apart as the goal, with time at goal where tasks fail",
        _gaussian(3),
        _film_critic({}, {}, heads=("occupancy",)),
        (*_SURVIVAL_FIELDS, "distance_weight", "hinge_weight", "occupancy_weight"),
        pairs=True,
        chunk_length=2,
        discount=0.99,
    ),
    "sac": _sac("soft actor-critic on the sparse reward"),
    "sac_her": _sac("the same with hindsight relabelling", "hindsight_share"),
    "td3": _td3("twin delayed DDPG on the sparse reward"),
    "td3_her": _td3("the same with hindsight relabelling", "hindsight_share"),
    "gcbc": Method(
        "crlscale.agents.gcbc",
        "goal-conditioned behavioural cloning of the agent's own data",
        _gaussian(3),
    ),
    "gcsl": Method(
        "crlscale.agents.gcsl",
        "goal-conditioned supervised learning: cloning given the time to the goal",
        _gaussian(3, "horizon"),
        reads=("commanded_horizon",),
    ),
}

METHOD_FIELDS = sorted({field for method in METHODS.values() for field in method.reads})


def find_method(name: str) -> Method:
    """The method `name`; an unknown one is a CrlscaleError that names near ones."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=3, cutoff=0.4) or list(METHODS)
        raise CrlscaleError(
            f"unknown agent {name!r}; near names: {', '.join(near)}",
            value=name,
            remedy=f"--set agent={near[0]}",
        )
    return METHODS[name]


def readers(field: str) -> list[str]:
    """Names of the methods that read the config field `field`."""
    return [name for name, method in METHODS.items() if field in method.reads]


def check_method(name: str, defaults: dict, values: dict) -> None:
    """Refuse `values` of config fields that the method `name` would not read or could not use;
    `defaults` are those of METHOD_FIELDS."""
    method = find_method(name)
    for field in METHOD_FIELDS:
        if values[field] != defaults[field] and field not in method.reads:
            raise CrlscaleError(
                f"agent {name} has no {field}; those that have: {', '.join(readers(field))}",
                value=values[field],
                remedy=f"--set agent={readers(field)[0]}",
            )
    if values["critic_depth"] is not None and not method.critic:
        raise CrlscaleError(
            f"agent {name} has no critic",
            value=values["critic_depth"],
            remedy="--set critic_depth=null",
        )
    block = values["block_size"]
    for network in method.critic:
        if network.layers is not None and network.layers >= block and network.layers % block:
            raise CrlscaleError(
                f"agent {name} has a network of {network.layers} layers, which blocks of {block} cannot form",
                value=block,
                remedy=f"--set block_size={network.layers}",
            )
    if values["trajectory_negatives"] and values["contrastive_loss"] == "backward":
        raise CrlscaleError(
            "contrastive_loss backward compares the rows of a goal; trajectory_negatives are goals of a row",
            value=values["trajectory_negatives"],
            remedy="--set contrastive_loss=symmetric",
        )
    size = values["representation_size"]
    if values["energy"] == "mrn" and size % 2:
        raise CrlscaleError(
            f"energy mrn halves the embedding; representation_size {size} is odd",
            value=size,
            remedy=f"--set representation_size={size + 1}",
        )
