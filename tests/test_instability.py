"""The rules by which training counts as unstable, on series made by hand: what fires, when, what does not."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from crlscale import instability
from crlscale.instability import KINDS, NEVER, PATIENCE, WARM_UP
from crlscale.schema import METRICS

N, ACTIONS, TARGET = 600, 8, -4.0
SOUND = {
    **{"critic_loss": 3.0, "actor_loss": 2.0, "entropy": 4.0, "alpha": 0.1},
    **{"actor_gradient_norm": 1.6, "state_action_gradient_norm": 4.0, "goal_gradient_norm": 1.7},
    **{"actor_update_ratio": 0.01, "state_action_update_ratio": 0.01, "goal_update_ratio": 0.01},
}


@jax.jit
def _after_each(series):
    """Onset and kind after each update."""

    def update(watch, metrics):
        watch = instability.look(watch, metrics, jnp.float32(TARGET), ACTIONS)
        return watch, (watch.onset, watch.kind)

    return jax.lax.scan(update, instability.begin(SOUND), series)[1]


def watched(**changed):
    """[(update at which it was known, onset, kind)] of a run with the metrics `changed` [N], else SOUND;
    more than one where what began earlier was known later."""
    series = {name: np.full(N, value) for name, value in SOUND.items()} | changed
    onsets, kinds = _after_each({name: jnp.asarray(x, jnp.float32) for name, x in series.items()})
    found, before = [], NEVER
    for update, (onset, kind) in enumerate(zip(np.asarray(onsets), np.asarray(kinds), strict=True)):
        if onset != before:
            found.append((update, int(onset), KINDS[kind]))
            before = onset
    return found


def flat(name, **at):
    """The sound value of `name` throughout, but values at some updates: u100=5.0."""
    series = np.full(N, SOUND[name])
    for update, value in at.items():
        series[int(update[1:])] = value
    return {name: series}


# --- what fires, and at which update -------------------------------------------------------
@pytest.mark.parametrize("name", ["actor_gradient_norm", "goal_gradient_norm"])
def test_a_gradient_of_100_times_its_running_mean(name):
    assert watched(**flat(name, u300=101 * SOUND[name])) == [(300, 300, name)]
    assert watched(**flat(name, u300=99 * SOUND[name])) == []


@pytest.mark.parametrize("name", ["critic_loss", "actor_loss"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_of_30_times_its_running_mean(name, sign):
    """By magnitude: an actor's loss has either sign."""
    assert watched(**flat(name, u300=sign * 31 * SOUND[name])) == [(300, 300, name)]
    assert watched(**flat(name, u300=sign * 29 * SOUND[name])) == []


def test_an_explosion_fires_when_it_has_outrun_the_mean():
    """Twice as large every five updates from update 200 on. After t of them the mean lags by the factor
    2^(20 (1 - 0.99^t)), which passes 100 at t = 41."""
    ages = np.maximum(np.arange(N) - 200, 0.0)
    ((update, onset, kind),) = watched(actor_gradient_norm=1.6 * 2 ** np.minimum(ages / 5, 100))
    assert update == onset == 241 and kind == "actor_gradient_norm"


def test_low_entropy_counts_from_the_first_of_many_updates():
    """3 nat an action below the target of -4 nat is -28 nat for 8 actions."""
    entropy = np.full(N, 4.0)
    entropy[150:] = -28.5
    assert watched(entropy=entropy) == [(150 + PATIENCE - 1, 150, "entropy")]
    entropy[150:] = -27.5
    assert watched(entropy=entropy) == []


def test_low_entropy_from_the_very_first_update():
    """The published recipe at 1,024 layers (docs/findings.md): no past to compare with."""
    assert watched(entropy=np.full(N, -87.0)) == [(PATIENCE - 1, 0, "entropy")]


def test_what_began_earlier_counts_though_it_was_known_later():
    entropy = np.full(N, 4.0)
    entropy[300:] = -87.0
    spike = flat("critic_loss", u350=1e4)
    assert watched(entropy=entropy, **spike) == [
        (350, 350, "critic_loss"),
        (300 + PATIENCE - 1, 300, "entropy"),
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("update", [0, 5, 300])
def test_a_loss_that_is_not_finite_fires_at_once(value, update):
    """In the warm-up too; of all that breaks a rule in that update it is named."""
    assert watched(**flat("actor_loss", **{f"u{update}": value})) == [(update, update, "nonfinite")]
    gradient = flat("actor_gradient_norm", **{f"u{update}": value})
    assert watched(**gradient, **flat("critic_loss", **{f"u{update}": value})) == [
        (update, update, "nonfinite")
    ]


def test_a_gradient_that_is_not_finite_fires_at_once():
    assert watched(**flat("goal_gradient_norm", u3=np.inf)) == [(3, 3, "goal_gradient_norm")]


def test_an_update_as_large_as_half_its_network():
    assert watched(**flat("actor_update_ratio", u0=0.51)) == [(0, 0, "actor_update_ratio")]
    assert watched(**flat("actor_update_ratio", u7=np.nan)) == [(7, 7, "actor_update_ratio")]
    assert watched(**flat("actor_update_ratio", u0=0.49)) == []


def test_only_the_first_onset_is_kept():
    name = "goal_gradient_norm"
    assert watched(**flat(name, u200=1e4, u300=1e6), **flat("actor_loss", u400=np.nan)) == [
        (200, 200, name)
    ]


# --- what does not -------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_fire(seed):
    """Each signal times 2 to the power of a normal number, with the spread that this has."""
    noise = np.log(2) * np.random.default_rng(seed).standard_normal((len(SOUND), N))
    noisy = {name: SOUND[name] * np.exp(z) for name, z in zip(SOUND, noise, strict=True)}
    noisy |= {name: np.minimum(noisy[name], 0.3) for name in SOUND if name.endswith("_ratio")}
    assert watched(**noisy) == []


def test_slow_growth_and_slow_decline_do_not_fire():
    """A factor 5 every 100 updates, 15,000 in all: the mean keeps up."""
    rate = np.exp(np.arange(N) * np.log(5) / 100)
    for name in ("critic_loss", "actor_gradient_norm"):
        assert watched(**{name: SOUND[name] * rate}) == []
        assert watched(**{name: SOUND[name] / rate}) == []


def test_a_loss_that_crosses_zero_does_not_fire():
    """As the actor's does in every sound run (results/depth-chain_8-quick-3ba9f1b6)."""
    noise = 0.2 * np.random.default_rng(0).standard_normal(N)
    assert watched(actor_loss=np.linspace(6, -3, N) + noise) == []


@pytest.mark.parametrize("step", [1e-2, 1e-5])
@pytest.mark.parametrize("update", [20, 200])
def test_a_step_down_and_back_does_not_fire(step, update):
    """What was there before is no explosion: a critic that learned that all rewards are 0 and then meets
    one."""
    for name in ("critic_loss", "actor_gradient_norm"):
        series = np.full(N, SOUND[name])
        series[update:] *= step
        assert watched(**{name: series}) == []
        series[update + 200 :] = 0.99 * SOUND[name]
        assert watched(**{name: series}) == []


def test_a_short_spell_of_low_entropy_does_not_fire():
    entropy = np.full(N, 4.0)
    for start in (0, 200, 400):
        entropy[start : start + PATIENCE - 1] = -335.0
    assert watched(entropy=entropy) == []


def test_the_first_updates_only_make_up_the_mean():
    name = "actor_gradient_norm"
    assert watched(**flat(name, **{f"u{WARM_UP - 1}": 1e6})) == []
    assert watched(**flat(name, **{f"u{WARM_UP}": 1e6})) == [(WARM_UP, WARM_UP, name)]


# --- the record ----------------------------------------------------------------------------
def test_it_goes_on_where_it_stood():
    """Chunks of updates, as a run is trained in, see what one long series sees."""
    name = "actor_gradient_norm"
    series = {k: np.full(N, v) for k, v in SOUND.items()} | flat(name, u300=1e4)
    series = {k: jnp.asarray(x, jnp.float32) for k, x in series.items()}

    @jax.jit
    def go_on(watch, part):
        look = partial(instability.look, target_entropy=jnp.float32(TARGET), actions=ACTIONS)
        return jax.lax.scan(lambda w, m: (look(w, m), None), watch, part)[0]

    watch = instability.begin(SOUND)
    for start in range(0, N, 100):
        watch = go_on(watch, {k: x[start : start + 100] for k, x in series.items()})
    assert (int(watch.updates), int(watch.onset), KINDS[watch.kind]) == (N, 300, name)


def test_methods_without_critic_or_entropy_are_watched_too():
    """gcbc: an actor alone."""
    names = ("actor_loss", "actor_gradient_norm", "actor_update_ratio")
    watch = instability.begin(dict.fromkeys(names))
    assert watch.running.shape == (2,)
    metrics = {name: jnp.float32(SOUND[name]) for name in names}
    target = jnp.float32(TARGET)
    assert int(instability.look(watch, metrics, target, ACTIONS).onset) == NEVER
    broken = metrics | {"actor_loss": jnp.float32(jnp.nan)}
    assert int(instability.look(watch, broken, target, ACTIONS).onset) == 0


def test_every_kind_but_one_is_a_column():
    """So that the column of that name shows what happened."""
    assert set(KINDS) - {column.name for column in METRICS} == {"nonfinite"}
