"""MjxChainEnv: a task on MJX whose bodies form long chains, stepped stage by stage.

Q positions, V velocities, L links. The stages and their order are those of `mjx.step`; only the
kinematics is computed link by link (crlscale.envs.chain_kinematics says why).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from brax.base import Motion, Transform
from mujoco import mjx

from crlscale.envs.chain_kinematics import kinematics
from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.scene import brax_arrays


class Physics(NamedTuple):
    """All that a step needs and a task reads: positions [Q], velocities [V], the solver's first guess
    of the accelerations [V], and the links' poses and velocities [L], of the same instant."""

    q: jax.Array
    qd: jax.Array
    warmstart: jax.Array
    x: Transform
    xd: Motion


class MjxChainEnv(PhysicsEnv):
    """For scenes with `implicitfast` integration in which every body has one joint."""

    def _begin(self, q: jax.Array, qd: jax.Array) -> Physics:
        with brax_arrays():
            return self._links(q, qd, jnp.zeros_like(qd))

    def _advance(self, physics: Physics, action: jax.Array) -> Physics:
        blank = mjx.make_data(self.sys).replace(ctrl=action)

        def sub_step(carry, _):
            q, qd, warmstart = carry
            data = blank.replace(qpos=q, qvel=qd, qacc_warmstart=warmstart)
            data = mjx.implicit(self.sys, self._forward(data))
            return (data.qpos, data.qvel, data.qacc_warmstart), None

        with brax_arrays():
            carry = (physics.q, physics.qd, physics.warmstart)
            carry = jax.lax.scan(sub_step, carry, length=self.spec.engine.sub_steps)[0]
            return self._links(*carry)

    def _forward(self, data: mjx.Data) -> mjx.Data:
        """Accelerations of `data`, as `mjx.forward`; no cameras, tendons or sensors."""
        data = mjx.com_pos(self.sys, kinematics(self.sys, data))
        data = mjx.factor_m(self.sys, mjx.crb(self.sys, data))
        data = mjx.make_constraint(self.sys, mjx.collision(self.sys, data))
        data = mjx.fwd_velocity(self.sys, mjx.transmission(self.sys, data))
        data = mjx.fwd_acceleration(self.sys, mjx.fwd_actuation(self.sys, data))
        return mjx.solve(self.sys, data)

    def _links(self, q: jax.Array, qd: jax.Array, warmstart: jax.Array) -> Physics:
        data = mjx.make_data(self.sys).replace(qpos=q, qvel=qd)
        data = mjx.com_pos(self.sys, kinematics(self.sys, data))
        data = mjx.com_vel(self.sys, data)
        # MJX gives velocities at the centre of mass of the tree that a body belongs to
        centre = data.subtree_com[self.sys.body_rootid[1:]]
        turning, moving = data.cvel[1:, :3], data.cvel[1:, 3:]
        moving = moving + jnp.cross(turning, data.xpos[1:] - centre)
        x = Transform(pos=data.xpos[1:], rot=data.xquat[1:])
        return Physics(data.qpos, data.qvel, warmstart, x, Motion(ang=turning, vel=moving))
