"""The Panda arm at its table, of primitive geoms: what touches is hand, fingers, cube, table, bins.

Frames, masses, inertias and servo gains are the numbers of MuJoCo Menagerie's franka_emika_panda
(Apache-2.0); cube, table, bins, contact pairs and solver settings those of the public arm tasks of
arXiv 2503.14858. NOTICE.md names both. Lengths in m, angles in rad, masses in kg.

The physics is that which the public tasks really run. Their file asks for joint armature 0.1, joint
damping 5, limits on all joints and a hand of 0.87 kg, but brax drops the defaults of a body that it
fuses away: what runs has them at the fingers alone, limits at joints 2, 4 and 6 alone, and a hand
without mass. Every contact has friction 1, the default of a contact pair, whatever its geoms say.
"""

import mujoco
import numpy as np

CUBE_HALF = 0.03
BIN_HEIGHT, BIN_THICKNESS = 0.066, 0.01
FINGER_TRAVEL = 0.08  # of each finger
FINGERTIP = (0.0, 0.005, 0.07)  # in the frame of a finger
FREE = (-2.8973, 2.8973)  # range of the servos whose joints have no limit

# one row a link: position and rotation in the parent's frame, mass, centre of mass, inertia
# (xx yy zz xy xz yz), range of its servo
LINKS = (
    (
        (0, 0, 0.333),
        (1, 0, 0, 0),
        4.970684,
        (0.003875, 0.002081, -0.04762),
        (0.70337, 0.70661, 0.0091170, -0.00013900, 0.0067720, 0.019169),
        FREE,
    ),
    (
        (0, 0, 0),
        (1, -1, 0, 0),
        0.646926,
        (-0.003141, -0.02872, 0.003495),
        (0.0079620, 0.028110, 0.025995, -0.003925, 0.010254, 0.000704),
        (-1.7628, 1.7628),
    ),
    (
        (0, -0.316, 0),
        (1, 1, 0, 0),
        3.228604,
        (0.027518, 0.039252, -0.066502),
        (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805),
        FREE,
    ),
    (
        (0.0825, 0, 0),
        (1, 1, 0, 0),
        3.587895,
        (-0.05317, 0.104419, 0.027454),
        (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641),
        (-3.0718, -0.0698),
    ),
    (
        (-0.0825, 0.384, 0),
        (1, -1, 0, 0),
        1.225946,
        (-0.011953, 0.041065, -0.038437),
        (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229),
        FREE,
    ),
    (
        (0, 0, 0),
        (1, 1, 0, 0),
        1.666555,
        (0.060149, -0.014117, -0.010517),
        (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341),
        (-0.0175, 3.7525),
    ),
    (
        (0.088, 0, 0),
        (1, 1, 0, 0),
        0.735522,
        (0.010517, -0.004252, 0.061597),
        (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741),
        FREE,
    ),
)
# one row a joint: gain, stiffness and damping of its servo, greatest torque [Nm]
SERVOS = (
    (4500, 4500, 450, 87),
    (4500, 4500, 450, 87),
    (2000, 3500, 350, 87),
    (2000, 3500, 350, 87),
    (1000, 2000, 200, 12),
    (1000, 2000, 200, 12),
    (1000, 2000, 200, 12),
)
FINGER_SERVO = (500, 500, 50, 500)  # per m of travel
HAND_OFFSET = 0.107  # of the hand along link 7, about whose axis it is turned by -45 degrees
HAND_TURN = (0.9238795, 0, 0, -0.3826834)
FINGER_OFFSET = HAND_OFFSET + 0.0584
# The hand's quaternion times that of the capsule's axis (y of the hand), and times a half turn.
CAPSULE_TURN = (0.9238795, 0.9238795, -0.3826834, -0.3826834)
RIGHT_TURN = (0.3826834, 0, 0, 0.9238795)


def arm_scene(
    cube: bool, bins: tuple[tuple[float, float], float] | None = None, friction: float | None = None
) -> mujoco.MjSpec:
    """The arm alone or, with `cube`, with gripper and a free cube at the origin.

    `bins`: centre (x, y) of the right-hand bin, mirrored at x = 0, and half the distance of the walls of
    one bin. `friction`: sliding friction of cube and table, 1 where not given."""
    scene = mujoco.MjSpec()
    scene.compiler.degree = False
    option = scene.option
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.iterations, option.ls_iterations = 6, 12
    scene.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, pos=(0, 0.2, 0), size=(2.8, 2.4, 0.1), **_QUIET
    )
    if cube:
        _add_cube(scene)
    link = _add_links(scene)
    link.add_geom(
        name="hand",
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        pos=(0, 0, HAND_OFFSET + 0.035),
        quat=CAPSULE_TURN,
        size=(0.04, 0.06, 0),
        **_QUIET,
    )
    _touch(scene, "table", "hand")
    if cube:
        _add_gripper(scene, link)
        _touch(scene, "cube", "table", friction)
    if bins is not None:
        option.impratio = 10
        _add_bins(scene, *bins)
    return scene


_QUIET = {"contype": 0, "conaffinity": 0}  # touches only what a contact pair names


def _touch(scene: mujoco.MjSpec, first: str, second: str, friction: float | None = None) -> None:
    pair = scene.add_pair(geomname1=first, geomname2=second)
    if friction is not None:
        pair.friction = [friction, friction, *pair.friction[2:]]


def _add_cube(scene: mujoco.MjSpec) -> None:
    cube = scene.worldbody.add_body(name="cube")
    cube.add_freejoint()
    cube.add_geom(name="cube", type=mujoco.mjtGeom.mjGEOM_BOX, size=(CUBE_HALF,) * 3, **_QUIET)


def _add_links(scene: mujoco.MjSpec) -> mujoco.MjsBody:
    """The chain of seven links; returns the last one. The hand weighs nothing, as in the public tasks,
    where brax fuses its geom into the last link, which has a mass of its own."""
    body = scene.worldbody
    for number, (row, servo) in enumerate(zip(LINKS, SERVOS, strict=True), start=1):
        pos, quat, mass, centre, inertia, limits = row
        body = body.add_body(name=f"link{number}", pos=pos, quat=quat)
        body.explicitinertial = True
        body.mass, body.ipos, body.fullinertia = mass, centre, inertia
        joint = body.add_joint(name=f"joint{number}", axis=(0, 0, 1))
        joint.limited, joint.range = limits != FREE, limits
        _add_servo(scene, joint.name, limits, servo)
    return body


def _add_gripper(scene: mujoco.MjSpec, link: mujoco.MjsBody) -> None:
    travel = (0, FINGER_TRAVEL)
    for side, quat in (("left", HAND_TURN), ("right", RIGHT_TURN)):
        finger = link.add_body(name=f"{side}_finger", pos=(0, 0, FINGER_OFFSET), quat=quat)
        finger.explicitinertial = True
        finger.mass, finger.inertia = 0.015, (2.375e-6, 2.375e-6, 7.5e-7)
        finger.ipos, finger.iquat = (0, 0, 0), (1, 0, 0, 0)
        joint = finger.add_joint(name=finger.name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, 1, 0))
        joint.limited, joint.range, joint.armature = True, travel, 0.1
        # mujoco 4: the coefficients of a polynomial
        joint.damping = [5, 0, 0] if np.ndim(joint.damping) else 5
        _add_servo(scene, joint.name, travel, FINGER_SERVO)
        finger.add_geom(
            name=f"{side}_finger",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(0, 0.0055, 0.035),
            size=(0.015, 0.005, 0.04),
            **_QUIET,
        )
        _touch(scene, "cube", f"{side}_finger")
        _touch(scene, "table", f"{side}_finger")
    scene.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT,
        objtype=mujoco.mjtObj.mjOBJ_JOINT,
        name1="left_finger",
        name2="right_finger",
        solref=(0.005, 1),
        solimp=(0.95, 0.99, 0.001, 0.5, 2),
    )
    _touch(scene, "cube", "hand")
    _touch(scene, "left_finger", "right_finger")


def _add_servo(scene: mujoco.MjSpec, joint: str, reach, servo) -> None:
    """A position servo: force = gain * target - stiffness * position - damping * speed."""
    gain, stiffness, damping, force = servo
    scene.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        gainprm=[gain] + [0] * 9,
        biasprm=[0, -stiffness, -damping] + [0] * 7,
        ctrllimited=True,
        ctrlrange=reach,
        forcelimited=True,
        forcerange=(-force, force),
    )


def _add_bins(scene: mujoco.MjSpec, centre: tuple[float, float], half: float) -> None:
    """Two bins of four walls each, open at the top; the cube alone touches them."""
    thin, tall = BIN_THICKNESS / 2, BIN_HEIGHT / 2
    walls = (
        ((0, -half), (half + thin, thin, tall)),
        ((0, half), (half + thin, thin, tall)),
        ((half, 0), (thin, half - thin, tall)),
        ((-half, 0), (thin, half - thin, tall)),
    )
    for side, x in (("left", -centre[0]), ("right", centre[0])):
        for number, ((dx, dy), size) in enumerate(walls, start=1):
            name = f"{side}_wall{number}"
            scene.worldbody.add_geom(
                name=name,
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=(x + dx, centre[1] + dy, tall),
                size=size,
                **_QUIET,
            )
            _touch(scene, "cube", name)
