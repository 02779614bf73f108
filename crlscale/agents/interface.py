"""What train.py asks of a method: the functions of a module of this folder.

Each agent is a NamedTuple of arrays with at least `actor`, the parameters that act, and where it has one
`critic`, a NamedTuple of the parameters of its networks; `actor_moments` and `critic_moments` are what
crlscale/optimiser.py keeps of each, `updates` a count where it has one. Everything else (targets, say) is
the method's own. All functions are pure; B batch, N envs, S state, A action, G goal. Where the config field `chunk_length` is H > 1, an action is H of them at once: A is
then H times that of the task (crlscale/chunks.py), here and in batches.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import jax

from crlscale.agents.seen import Seen
from crlscale.envs.goal_env import GoalEnv
from crlscale.methods import find_method
from crlscale.program import Hyper, Program
from crlscale.replay import Replay


class Algorithm(Protocol):
    """A module of crlscale.agents, named by a line of crlscale.methods."""

    def networks(self, program: Program, action_size: int) -> Any:
        """The static part: hashable networks and what else `program` fixes."""

    def init(self, nets, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Any:
        """A fresh agent. Consumes `rng`."""

    def act(self, nets, actor, observation: jax.Array, age: jax.Array, rng: jax.Array) -> jax.Array:
        """Actions [N, A] that explore, for observations [N, S+G] in the step `age` int32 [N] of their
        episodes (0 = the first). Consumes `rng`."""

    def act_deterministic(self, nets, actor, observation: jax.Array, age: jax.Array) -> jax.Array:
        """Actions [N, A] as evaluated."""

    def sample(
        self,
        program: Program,
        env: GoalEnv,
        replay: Replay,
        rng: jax.Array,
        time: jax.Array,
        hyper: Hyper,
    ) -> Any:
        """What one update learns from, out of the `time` rows written so far. Consumes `rng`."""

    def update(self, nets, agent, batch, rng: jax.Array, hyper: Hyper) -> tuple[Any, dict]:
        """One update -> agent, metrics: scalars named by columns of crlscale.schema. A metric whose
        name ends in `_loss` decides whether a run diverged. Consumes `rng`."""

    def seen(self, nets, agent, batch) -> dict[str, Seen]:
        """What its networks see of a batch, by `actor` and the fields of `critic` (seen.py)."""

    def parameter_norms(self, agent) -> dict:
        """L2 norms of the networks' parameters, scalars named `*_parameter_norm`."""


def algorithm(name: str) -> Algorithm:
    """The module of the method `name`."""
    return import_module(find_method(name).module)


@cache
def traced_once(update: Callable) -> Callable:
    """`update` of a method, traced once for all programs that ask it for the same networks and shapes
    (0.7 s a time). XLA makes the same of it as of the function itself."""
    return jax.jit(update, static_argnums=0)
