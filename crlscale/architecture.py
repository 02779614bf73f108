"""Architecture: what the networks of a run share beside their depth; plain data, no jax."""

from dataclasses import dataclass

from crlscale.errors import CrlscaleError


@dataclass(frozen=True)
class Architecture:
    """The shape of every trunk. The fields mean what the config fields of the same names say."""

    width: int
    block_size: int
    precision: str = "float32"
    residual: bool = True
    layer_norm: bool = True
    activation: str = "swish"
    residual_scale: str = "one"
    zero_init: bool = False
    norm_order: str = "post"
    hyperspherical: bool = False

    def __post_init__(self):
        """Refuse what would be accepted and change nothing, or could never learn."""
        if self.hyperspherical:
            for field, plain in (
                ("residual", True),
                ("layer_norm", True),
                ("residual_scale", "one"),
                ("zero_init", False),
                ("norm_order", "post"),
            ):
                self._refuse(
                    field, plain, "hyperspherical networks have norms and residuals of their own"
                )
        if not self.residual:
            self._refuse("residual_scale", "one", "there is no residual connection to scale")
            self._refuse(
                "zero_init", False, "without a residual connection blocks of zero pass nothing"
            )
        if not self.layer_norm:
            self._refuse("norm_order", "post", "there is no LayerNorm to move")
        if self.activation == "relu":
            self._refuse(
                "zero_init", False, "the gradient of relu at 0 is 0, so such blocks never learn"
            )

    def _refuse(self, field: str, plain: object, why: str) -> None:
        value = getattr(self, field)
        if value != plain:
            raise CrlscaleError(
                f"{field} = {_typed(value)} does not go with these networks: {why}",
                value=value,
                remedy=f"--set {field}={_typed(plain)}",
            )

    def trunk_parameters(self, inputs: int, depth: int) -> int:
        """Learned numbers of a trunk of `depth` layers: kernels and biases; scale and shift of every
        LayerNorm, or the scales and the interpolation of the blocks on spheres."""
        norm = 1 if self.hyperspherical else 2 * self.layer_norm
        blocks = block_shape(depth, self.block_size)[0] if self.hyperspherical else 0
        layers = inputs + depth * self.width + (1 + depth) * (1 + norm) + blocks
        return self.width * layers


def _typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def block_shape(depth: int, block_size: int) -> tuple[int, int]:
    """(K, L): number of blocks and layers in each, for a legal depth."""
    return (1, depth) if depth < block_size else (depth // block_size, block_size)
