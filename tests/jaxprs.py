"""Programs in tests: compiled quickly, and read equation by equation."""

from collections.abc import Iterator
from functools import partial

import jax

# half the compile time, for programs that a test runs a few times
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def equations(traced) -> Iterator:
    """Equations of a jaxpr (or closed jaxpr), outer before inner, those inside loops, branches and
    calls included."""
    for equation in getattr(traced, "jaxpr", traced).eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else [value]:
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from equations(inner)
