"""Positions of a chain of bodies, computed link by link.

`mjx.kinematics` writes the chain as one expression. XLA's CPU compiler fuses that into one kernel in
which each link computes all links below it anew, several times over: on the Panda's nine levels it
takes 100 times as long as all the rest of a sub-step. A barrier after each link ends that.
"""

import jax
import jax.numpy as jnp
import mujoco
from brax import math
from mujoco import mjx

FREE, HINGE, SLIDE = (int(getattr(mujoco.mjtJoint, f"mjJNT_{n}")) for n in ("FREE", "HINGE", "SLIDE"))


def kinematics(model: mjx.Model, data: mjx.Data) -> mjx.Data:
    """As `mjx.kinematics`, for models whose every body has one joint, at its origin."""
    pos, quat = [jnp.zeros(3)], [jnp.array([1.0, 0.0, 0.0, 0.0])]  # of the world
    anchors, axes = [], []
    qpos = data.qpos
    for body in range(1, model.nbody):
        joint = int(model.body_jntadr[body])
        at = int(model.jnt_qposadr[joint])
        kind = int(model.jnt_type[joint])
        parent = int(model.body_parentid[body])
        if kind == FREE:
            turn = qpos[at + 3 : at + 7] / jnp.linalg.norm(qpos[at + 3 : at + 7])
            qpos = qpos.at[at + 3 : at + 7].set(turn)
            place, axis = qpos[at : at + 3], jnp.array([0.0, 0.0, 1.0])
            anchor = place
        else:
            place = pos[parent] + math.rotate(model.body_pos[body], quat[parent])
            turn = math.quat_mul(quat[parent], model.body_quat[body])
            anchor, axis = place, math.rotate(model.jnt_axis[joint], turn)
            moved = qpos[at] - model.qpos0[at]
            if kind == HINGE:
                turn = math.quat_mul(turn, math.quat_rot_axis(model.jnt_axis[joint], moved))
            else:
                place = place + axis * moved
        place, turn, axis = jax.lax.optimization_barrier((place, turn, axis))
        pos.append(place)
        quat.append(turn)
        anchors.append(anchor)
        axes.append(axis)
    data = data.replace(qpos=qpos, xanchor=jnp.stack(anchors), xaxis=jnp.stack(axes))
    return _place(model, data, jnp.stack(pos), jnp.stack(quat))


def _place(model: mjx.Model, data: mjx.Data, pos: jax.Array, quat: jax.Array) -> mjx.Data:
    """Everything that hangs on the bodies' positions [bodies, 3] and rotations [bodies, 4]."""
    at, turn = _locals(pos, quat, model.body_ipos, model.body_iquat)
    data = data.replace(
        xpos=pos,
        xquat=quat,
        xmat=_matrices(quat),
        xipos=at,
        ximat=_matrices(turn),
    )
    owner = model.geom_bodyid
    at, turn = _locals(pos[owner], quat[owner], model.geom_pos, model.geom_quat)
    return data.replace(geom_xpos=at, geom_xmat=_matrices(turn))


def _locals(pos, quat, offset, rotation):
    """World positions and rotations of frames given in the frames `pos`, `quat`."""
    return pos + jax.vmap(math.rotate)(offset, quat), jax.vmap(math.quat_mul)(quat, rotation)


def _matrices(quat: jax.Array) -> jax.Array:
    return jax.vmap(math.quat_to_3x3)(quat)
