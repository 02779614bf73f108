"""PhysicsEnv: a task on one of brax's rigid-body engines.

Q positions, V velocities, A action. One instance describes one env; callers vmap it.
"""

from importlib import import_module

import jax
import jax.numpy as jnp
from brax.base import System

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.spec import TaskSpec


class PhysicsEnv(GoalEnv):
    """`sys` is the brax System, with the sub-step of `spec.engine` in `sys.opt.timestep`."""

    def __init__(self, spec: TaskSpec, system: System):
        self.spec = spec
        self.sys = system
        self._pipeline = import_module(f"brax.{spec.engine.backend}.pipeline")
        assert system.act_size() >= spec.action_size, (system.act_size(), spec.action_size)

    @property
    def backend(self) -> str:
        return self.spec.engine.backend

    def _begin(self, q: jax.Array, qd: jax.Array):
        """Pipeline state at positions [Q] and velocities [V]."""
        return self._pipeline.init(self.sys, q, qd)

    def _advance(self, physics, action: jax.Array):
        """One env step with actuator inputs `action` [sys.act_size()] held over all sub-steps."""

        def sub_step(physics, _):
            return self._sub_step(physics, action), None

        return jax.lax.scan(sub_step, physics, length=self.spec.engine.sub_steps)[0]

    def _sub_step(self, physics, action: jax.Array):
        return self._pipeline.step(self.sys, physics, action)

    def _controls(self, action: jax.Array) -> jax.Array:
        """Actions [A] in [-1, 1] as actuator inputs, linear in the control range."""
        low, high = self.sys.actuator.ctrl_range[:, 0], self.sys.actuator.ctrl_range[:, 1]
        return low + (jnp.clip(action, -1.0, 1.0) + 1.0) * (high - low) / 2.0
