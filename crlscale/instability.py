"""When training begins to be unstable: rules over the metrics of every update, pure, for one seed.

A run can be broken long before a loss is not finite, or without that ever coming. The rules look at each
update and keep what first broke one:

- `nonfinite`: a loss is not finite;
- `entropy`: the policy stays more than ENTROPY_GAP nat an action below the target entropy for PATIENCE
  updates in a row (the onset is the first of them). Then the squashed actions sit at their bounds, where
  their gradient vanishes;
- a loss of LOSSES above LOSS_FACTOR times, or the norm of a gradient above NORM_FACTOR times, its running
  geometric mean, and larger than it ever was before;
- an update that moves the parameters of a network by more than RATIO_LIMIT of their own norm; looked at
  in one update of RATIO_EVERY, the first of an epoch among them.

The running mean is over the logarithms of the magnitudes, all alike for the first 1 / RATE updates, with
the weight RATE from then on, so a signal that grows by less than a factor e every 22 updates (100 times;
every 30 for a loss) never breaks its rule: slow growth is learning, or told by the entropy. The first
WARM_UP updates only make up the mean. docs/extreme-depth.md says where the numbers come from. n signals.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

NEVER = jnp.iinfo(jnp.int32).max
WARM_UP, RATE = 50, 0.01
LOSS_FACTOR, NORM_FACTOR, RATIO_LIMIT = 30.0, 100.0, 0.5
ENTROPY_GAP, PATIENCE = 3.0, 100
RATIO_EVERY = 10  # updates; its norms take a fifth of an update of a small network
LOSSES = ("critic_loss", "actor_loss")
GRADIENT, RATIO = "_gradient_norm", "_update_ratio"
TINY = 1e-12  # smaller magnitudes count as this

_NETWORKS = ("actor", "critic", "state_action", "goal")
# what a run can be unstable by; of two that begin in one update the first counts
KINDS = (
    *("nonfinite", "entropy", *LOSSES),
    *(network + GRADIENT for network in _NETWORKS),
    *(network + RATIO for network in (*_NETWORKS, "survival")),
)


class Watch(NamedTuple):
    """What the rules remember: updates seen; of each signal [n] the running mean of log magnitudes and
    the largest one; updates in a row with low entropy; update at which instability began (NEVER if it
    has not) and the index of what it is in KINDS."""

    updates: jax.Array
    running: jax.Array
    largest: jax.Array
    low: jax.Array
    onset: jax.Array
    kind: jax.Array


def begin(metrics) -> Watch:
    """Nothing seen yet. `metrics` is a dict with the names of those of an update."""
    zero, signals = jnp.zeros((), jnp.int32), jnp.zeros(len(_signals(metrics)))
    never = jnp.full((), NEVER, jnp.int32)
    return Watch(zero, signals, signals - jnp.inf, zero, never, zero)


def look(watch: Watch, metrics: dict[str, jax.Array], target_entropy: jax.Array, actions: int) -> Watch:
    """`watch` after one more update with these `metrics`, scalars. `target_entropy` is that of all the
    `actions` numbers that the policy decides at once."""
    names = _signals(metrics)
    size = jnp.log(jnp.maximum(jnp.abs(jnp.stack([metrics[name] for name in names])), TINY))
    factor = jnp.log(jnp.array([LOSS_FACTOR if name in LOSSES else NORM_FACTOR for name in names]))
    jump = (watch.updates >= WARM_UP) & (size > jnp.maximum(watch.running + factor, watch.largest))
    fired = dict(zip(names, jump | ~jnp.isfinite(size), strict=True))
    for name, value in metrics.items():
        if name.endswith(RATIO):
            fired[name] = ~(value <= RATIO_LIMIT)
    losses = jnp.stack([value for name, value in metrics.items() if name.endswith("_loss")])
    fired["nonfinite"] = ~jnp.all(jnp.isfinite(losses))
    low = watch.low
    if "entropy" in metrics:
        is_low = ~(metrics["entropy"] >= target_entropy - ENTROPY_GAP * actions)
        low = jnp.where(is_low, low + 1, 0)
        fired["entropy"] = low >= PATIENCE
    onset, kind = _earliest(watch, fired)
    weight = jnp.maximum(RATE, 1.0 / (watch.updates.astype(jnp.float32) + 1.0))
    known = jnp.where(jnp.isfinite(size), size, watch.running)
    return Watch(
        watch.updates + 1,
        watch.running + weight * (known - watch.running),
        jnp.maximum(watch.largest, known),
        low,
        onset,
        kind,
    )


def update_ratios(parameter_norms, updates: jax.Array, before, after) -> dict[str, jax.Array]:
    """By how much an update moved each network of an agent, as a share of the norm of its parameters
    `after` it; 0 in updates that are not looked at. `updates` of the epoch came before it;
    `parameter_norms` are those of agents/interface.py."""

    def name(norm: str) -> str:
        return norm.removesuffix("_parameter_norm") + RATIO

    def ratios(before, after):
        step = parameter_norms(jax.tree.map(jnp.subtract, after, before))
        whole = parameter_norms(after)
        return {name(norm): step[norm] / whole[norm] for norm in step}

    def none(before, after):
        return {name(norm): jnp.zeros(()) for norm in jax.eval_shape(parameter_norms, after)}

    return jax.lax.cond(updates % RATIO_EVERY == 0, ratios, none, before, after)


def told(name: str, updates: jax.Array) -> jax.Array:
    """How many of `updates` told the metric `name`."""
    return jnp.ceil(updates / RATIO_EVERY) if name.endswith(RATIO) else updates


def _signals(metrics) -> list[str]:
    """Names of the metrics that are compared with their own past."""
    return [name for name in KINDS if name in metrics and (name in LOSSES or name.endswith(GRADIENT))]


def _earliest(watch: Watch, fired: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Onset and kind, with what `fired` in this update where it began earlier than what is known."""
    names = [name for name in KINDS if name in fired]
    began = [watch.updates - (PATIENCE - 1 if name == "entropy" else 0) for name in names]
    onsets = jnp.where(jnp.stack([fired[name] for name in names]), jnp.stack(began), NEVER)
    first = jnp.argmin(onsets)
    kinds = jnp.array([KINDS.index(name) for name in names], jnp.int32)
    earlier = onsets[first] < watch.onset
    return jnp.where(earlier, onsets[first], watch.onset), jnp.where(earlier, kinds[first], watch.kind)
