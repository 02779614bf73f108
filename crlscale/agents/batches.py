"""What one update learns from: the samplers that methods choose from, as train.py calls them.

Each takes (program, env, replay, rng, time, hyper) and consumes `rng`.
"""

import jax
import jax.numpy as jnp

from crlscale import hits as events
from crlscale import replay as ring
from crlscale.envs.goal_env import GoalEnv
from crlscale.program import Hyper, Program


def geometric(
    program: Program, env: GoalEnv, replay: ring.Replay, rng: jax.Array, time: jax.Array, hyper: Hyper
) -> ring.Batch:
    """B triples whose hindsight goal lies k steps ahead with probability proportional to discount^k,
    each with the actions of a chunk and the program's number of other goals of its trajectory."""
    return ring.sample(
        replay,
        rng,
        program.batch_size,
        discount=hyper.discount,
        chunk_length=program.chunk_length,
        elsewhere=program.trajectory_negatives,
        **_where(program, time, hyper),
    )


def uniform(
    program: Program, env: GoalEnv, replay: ring.Replay, rng: jax.Array, time: jax.Array, hyper: Hyper
) -> ring.Batch:
    """B triples whose hindsight goal is any later one of the same trajectory, all equally likely."""
    return ring.sample(replay, rng, program.batch_size, discount=None, **_where(program, time, hyper))


def transitions(
    program: Program, env: GoalEnv, replay: ring.Replay, rng: jax.Array, time: jax.Array, hyper: Hyper
) -> ring.Transitions:
    """B steps with successors and rewards, a share of them relabelled in hindsight."""
    where = _where(program, time, hyper)
    return ring.sample_transitions(
        replay,
        rng,
        program.batch_size,
        inside=env.inside,
        relabelled=hyper.hindsight_share,
        **where,
    )


def hits(
    program: Program, env: GoalEnv, replay: ring.Replay, rng: jax.Array, time: jax.Array, hyper: Hyper
) -> events.Hits:
    """B steps with relabelled goals and when these were first reached."""
    return _hits(program, env, replay, rng, time, hyper)


def hits_and_closeness(
    program: Program, env: GoalEnv, replay: ring.Replay, rng: jax.Array, time: jax.Array, hyper: Hyper
) -> events.Hits:
    """The same, and how close each later step is: the share of three radii, the task's, a half and a
    quarter of it, that it is within."""

    def closeness(reached, goal):
        distance, radius = env.distance(reached, goal), env.spec.success_radius
        return sum((distance <= radius * part).astype(jnp.float32) for part in (1.0, 0.5, 0.25)) / 3.0

    return _hits(program, env, replay, rng, time, hyper, closeness)


def _hits(program, env, replay, rng, time, hyper, closeness=None):
    return events.sample_hits(
        replay,
        rng,
        program.batch_size,
        inside=env.inside,
        horizon=program.survival_horizon,
        dwell=program.dwell_steps,
        current=hyper.current_share,
        random=hyper.random_share,
        discount=hyper.discount,
        chunk_length=program.chunk_length,
        closeness=closeness,
        **_where(program, time, hyper),
    )


def _where(program, time, hyper):
    return {"time": time, "capacity": program.replay_capacity, "window": hyper.hindsight_window}
