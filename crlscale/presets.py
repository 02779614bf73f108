"""Presets: what fixes env steps, envs, batch, width and evaluations of a study."""

from crlscale.errors import CrlscaleError

# quick and laptop share every setting but the number of env steps and evaluations, so that the
# README's job is a short version of the committed study. docs/findings.md tells how they were found.
_LAPTOP = {
    "num_envs": 64,
    "unroll_length": 50,
    "batch_size": 256,
    "width": 64,
    "prefill_steps": 200,
    "replay_capacity": 2000,
    "eval_episodes": 128,
    "alpha_learning_rate": 1e-3,
}

PRESETS: dict[str, dict] = {
    "smoke": {
        "env_steps": 800,
        "evaluations": 2,
        "num_envs": 16,
        "unroll_length": 25,
        "prefill_steps": 50,
        "replay_capacity": 200,
        "batch_size": 32,
        "width": 16,
        "eval_episodes": 16,
    },
    "quick": {**_LAPTOP, "env_steps": 300_000, "evaluations": 10},
    "laptop": {**_LAPTOP, "env_steps": 500_000, "evaluations": 10},
    "paper": {
        "env_steps": 100_000_000,
        "evaluations": 100,
        "num_envs": 512,
        "unroll_length": 62,
        "updates_per_phase": 800,
        "prefill_steps": 1000,
        "replay_capacity": 10_000,
        "batch_size": 512,
        "width": 256,
        "eval_episodes": 128,
        "discount": 0.99,
    },
}


def preset_settings(name: str) -> dict:
    """Config settings of preset `name`; an unknown one is a CrlscaleError that lists them."""
    if name not in PRESETS:
        raise CrlscaleError(
            f"unknown preset {name!r}; legal: {', '.join(PRESETS)}", value=name, remedy="--preset quick"
        )
    return dict(PRESETS[name])
