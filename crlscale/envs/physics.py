"""PhysicsEnv: a task on one of brax's rigid-body engines.

S state, A action, G goal, U actuator inputs, Q positions, V velocities. One instance describes one
env; callers vmap it.
"""

from importlib import import_module

import jax
import jax.numpy as jnp
from brax.base import System
from brax.envs.base import State

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.scene import brax_arrays
from crlscale.envs.spec import TaskSpec

BOUND = 1e4  # positions and velocities [m, rad, s] beyond this, or not numbers, are broken physics


class PhysicsEnv(GoalEnv):
    """`sys` is the brax System, with the sub-step of `spec.engine` in `sys.opt.timestep`.

    Physics that breaks (NaN, infinity, or beyond BOUND) ends the episode as a failure in the state
    before that step, so what is recorded stays finite. A task says how it starts, `_read` its state
    and whether it `_failed`."""

    def __init__(self, spec: TaskSpec, system: System):
        self.spec = spec
        self.sys = system
        self._pipeline = import_module(f"brax.{spec.engine.backend}.pipeline")
        assert system.act_size() >= spec.action_size, (system.act_size(), spec.action_size)

    @property
    def backend(self) -> str:
        return self.spec.engine.backend

    def step(self, state: State, action: jax.Array) -> State:
        controls = self._controls(action)
        before = state.pipeline_state
        physics, broken = self._mend(before, self._advance(before, controls))
        return self._observe(physics, controls, self._goal(state), broken)

    # --- what a task says ---------------------------------------------------------------
    def _read(self, physics, controls: jax.Array) -> jax.Array:
        """The state [S] of a pipeline state reached with actuator inputs `controls` [U]; where
        `goal_in_state` is asked for it may leave the goal to the caller."""
        raise NotImplementedError

    def _failed(self, physics) -> jax.Array:
        """Whether the robot has failed, bool."""
        del physics
        return jnp.zeros((), bool)

    # --- shared by the tasks ------------------------------------------------------------
    def _begin(self, q: jax.Array, qd: jax.Array):
        """Pipeline state at positions [Q] and velocities [V]."""
        with brax_arrays():
            return self._pipeline.init(self.sys, q, qd)

    def _start_at(self, q: jax.Array, qd: jax.Array, goal: jax.Array) -> State:
        """Episode that starts at positions [Q] and velocities [V] with commanded goal [G]."""
        rest = jnp.zeros(self.sys.act_size())
        return self._observe(self._begin(q, qd), rest, goal, jnp.zeros((), bool))

    def _observe(self, physics, controls: jax.Array, goal: jax.Array, broken: jax.Array) -> State:
        failed = broken | self._failed(physics)
        return self._pack(physics, self._read(physics, controls), goal, failed)

    def _advance(self, physics, action: jax.Array):
        """One env step with actuator inputs `action` [U] held over all sub-steps."""

        def sub_step(physics, _):
            return self._sub_step(physics, action), None

        with brax_arrays():
            return jax.lax.scan(sub_step, physics, length=self.spec.engine.sub_steps)[0]

    def _sub_step(self, physics, action: jax.Array):
        return self._pipeline.step(self.sys, physics, action)

    def _mend(self, before, after):
        """`after`, or `before` if `after` is broken: -> (physics, broken)."""
        sound = jnp.all(jnp.abs(after.q) < BOUND) & jnp.all(jnp.abs(after.qd) < BOUND)
        return jax.tree.map(lambda new, old: jnp.where(sound, new, old), after, before), ~sound

    def _controls(self, action: jax.Array) -> jax.Array:
        """Actions [A] in [-1, 1] as actuator inputs, linear in the control range."""
        low, high = self.sys.actuator.ctrl_range[:, 0], self.sys.actuator.ctrl_range[:, 1]
        return low + (jnp.clip(action, -1.0, 1.0) + 1.0) * (high - low) / 2.0
