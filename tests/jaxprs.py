"""Every equation of a traced program, those inside its loops, branches and calls included."""

from collections.abc import Iterator


def equations(traced) -> Iterator:
    """Equations of a jaxpr (or closed jaxpr), outer before inner."""
    for equation in getattr(traced, "jaxpr", traced).eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else [value]:
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from equations(inner)
