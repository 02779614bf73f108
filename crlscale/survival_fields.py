"""Config fields of the methods that learn when a goal is reached (srl, chrono_srl), and what follows.

A part of RunConfig, in a file of its own. `later` marks what came after the first studies.
"""

from typing import Literal

from pydantic import BaseModel, Field

from crlscale.errors import CrlscaleError

LONGEST_HORIZON = 1000  # steps; the source's
MAX_DISCOUNT = 0.999999  # float32 cannot tell much higher ones from 1


def later(description: str, default, **more):
    """A field that came after the first studies: it enters run ids and study names only where it
    differs from its default, so that older studies keep their names."""
    return Field(default, description=description, json_schema_extra={"later": True}, **more)


class SurvivalFields(BaseModel):
    """Defaults are those of arXiv 2605.31273, but that a record is censored where it ends."""

    survival_horizon: int | None = later(
        "srl, chrono_srl: steps after which it does not matter when; null = the episode, at most 1000",
        None,
        gt=0,
    )
    survival_bins: int | None = later(
        "srl, chrono_srl: bins of time up to the horizon, growing geometrically; null = one a step",
        None,
        gt=0,
    )
    censoring: Literal["observed", "horizon"] = later(
        "srl, chrono_srl: until when a goal not reached is unreached: to the end of the record or the horizon",
        "observed",
    )
    dwell_steps: int = later(
        "srl, chrono_srl: steps in a row within the radius that count as reached", 1, gt=0
    )
    value_discount: float = later(
        "srl, chrono_srl: discount of time in values; discount is that of hindsight goals",
        0.999,
        gt=0,
        le=MAX_DISCOUNT,
    )
    current_share: float = later("srl, chrono_srl: share of goals that hold already", 0.05, ge=0, le=1)
    random_share: float = later(
        "srl, chrono_srl: share of goals that any step of any env achieved", 0.1, ge=0, le=1
    )
    distance_weight: float = later(
        "chrono_srl: weight of embeddings as far apart as the goal", 1.0, ge=0
    )
    hinge_weight: float = later("chrono_srl: weight of embeddings of other goals being far", 1.0, ge=0)
    occupancy_weight: float = later("chrono_srl: weight of the loss of time at goal", 1.0, ge=0)


def survival_horizon(config) -> int:
    """Steps within which a method learns when a goal is reached."""
    return config.survival_horizon or min(LONGEST_HORIZON, config.episode_length)


def survival_bins(config) -> int:
    """Bins of these steps."""
    return config.survival_bins or survival_horizon(config)


def check_survival(config) -> None:
    """Refuse what could never be learned."""
    horizon, bins = survival_horizon(config), survival_bins(config)
    for field, value, limit, why in (
        (
            "survival_horizon",
            horizon,
            config.episode_length,
            "steps of an episode: later bins are empty",
        ),
        ("survival_bins", bins, horizon, "steps of the horizon: a bin has one at least"),
        ("dwell_steps", config.dwell_steps, horizon, "steps of the horizon: no goal would be reached"),
    ):
        if value > limit:
            raise CrlscaleError(
                f"{field} {value} is over the {limit} {why}",
                value=value,
                remedy=f"--set {field}={limit}",
            )
    if config.current_share + config.random_share > 1:
        raise CrlscaleError(
            f"current_share {config.current_share} and random_share {config.random_share} add up to more than 1",
            value=config.random_share,
            remedy=f"--set random_share={1 - config.current_share:g}",
        )
