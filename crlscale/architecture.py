"""Architecture: what the networks of a run share beside their depth; plain data, no jax."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The shape of every trunk. The fields mean what the config fields of the same names say."""

    width: int
    block_size: int
    precision: str = "float32"
