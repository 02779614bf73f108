"""Which depths a network of blocks can have."""

from crlscale.errors import CrlscaleError


def legal_depths_near(depth: int, block_size: int) -> list[int]:
    """The legal depths next to `depth`: below L any, from L on the multiples of L."""
    below = depth // block_size * block_size
    return [d for d in (below, below + block_size) if d > 0]


def check_depth(field: str, depth: int | None, block_size: int) -> None:
    if depth is None or depth < block_size or depth % block_size == 0:
        return
    near = legal_depths_near(depth, block_size)
    raise CrlscaleError(
        f"{field} {depth} is not legal with blocks of {block_size} layers;"
        f" nearest legal: {' and '.join(map(str, near))}",
        value=depth,
        remedy=f"{field} = {near[0]}",
    )
