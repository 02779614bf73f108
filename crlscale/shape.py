"""Which runs one compiled program can train: plain data beside crlscale.program, no jax.

A field is taken to force a recompile unless it is named here; tests/test_shape.py compares this
with crlscale.program.Program itself.
"""

from crlscale.config import RunConfig

# traced by the program, or read by the host only
FREE = frozenset(
    {
        "seed",
        "discount",
        "hindsight_window",
        "actor_learning_rate",
        "critic_learning_rate",
        "alpha_learning_rate",
        "logsumexp_penalty",
        "target_entropy",
        "warmup_updates",
        "hindsight_share",
        "polyak",
        "survival_weights",
        "survival_bonus",
        "value_discount",
        "current_share",
        "random_share",
        "distance_weight",
        "hinge_weight",
        "occupancy_weight",
        "env_steps",
        "updates_per_phase",
        "prefill_steps",
        "evaluations",
        "goal_set",
        "protocol",  # fills in other fields, and those count
    }
)


def shape(config: RunConfig) -> tuple:
    """Equal for two configs if the same compiled program trains both, seeds for seeds."""
    values = config.model_dump(exclude=FREE)
    values["gradient_clip"] = config.gradient_clip is not None  # the limit itself is traced
    del values["depth"]
    values |= {"actor_depth": config.actor_layers, "critic_depth": config.critic_layers}
    return tuple(sorted(values.items()))
