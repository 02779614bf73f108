"""Every task by name: its spec as plain data (no jax), and the class behind it on demand."""

import difflib
from dataclasses import fields
from functools import lru_cache
from importlib import import_module

from crlscale.envs.catalogue import ant, ant_push, arm, chain, humanoid, planar, point
from crlscale.envs.catalogue.choices import without
from crlscale.envs.spec import PLAIN, Family, Options, TaskSpec
from crlscale.errors import CrlscaleError

FAMILIES: tuple[Family, ...] = (
    point.FAMILY,
    chain.FAMILY,
    *planar.FAMILIES,
    ant.FAMILY,
    humanoid.FAMILY,
    arm.FAMILY,
    ant_push.FAMILY,
)


def task_names() -> list[str]:
    """The tasks that `crlscale envs` lists; chain_N exists for every N from 2 to 64, and a point,
    ant or humanoid walks in a maze of your own as point_maze, ant_maze, humanoid_maze."""
    return [name for family in FAMILIES for name in family.names]


@lru_cache(maxsize=1024)
def task_spec(name: str, options: Options = PLAIN) -> TaskSpec:
    """The spec of task `name`; an unknown name or an option that the task does not have is a
    CrlscaleError that says what there is."""
    for family in FAMILIES:
        spec = family.build(name, options)
        if spec is not None:
            _check(spec, family)
            return spec
    near = difflib.get_close_matches(name, task_names(), n=3, cutoff=0.4) or task_names()[:3]
    raise CrlscaleError(
        f"unknown env {name!r}; near names: {', '.join(near)}",
        value=name,
        remedy=f"--env {near[0]}, or `crlscale envs` for all",
    )


def family_of(spec: TaskSpec) -> Family:
    """The family that `spec` is of."""
    return next(f for f in FAMILIES if f.build(spec.name, spec.options) is not None)


def make_env(spec: TaskSpec):
    """Build the GoalEnv of `spec` (imports jax and brax)."""
    module, name = family_of(spec).env.split(":")
    return getattr(import_module(module), name)(spec)


def _check(spec: TaskSpec, family: Family) -> None:
    """Refuse options that the task does not have."""
    options = spec.options
    lacking = [f.name for f in fields(Options) if f.name not in family.options]
    without(spec.name, options, *lacking)
    legal = dict(spec.radii)
    if options.success not in legal:
        raise CrlscaleError(
            f"success = {options.success!r} is not defined for {spec.name}; legal: {', '.join(legal)}",
            value=options.success,
            remedy=f"--set success={next(iter(legal))}",
        )
    if options.backend is not None and options.backend not in spec.engine.backends:
        raise CrlscaleError(
            f"backend {options.backend!r} does not run {spec.name};"
            f" legal: {', '.join(spec.engine.backends)}",
            value=options.backend,
            remedy=f"--backend {spec.engine.backends[0]}",
        )
