"""Which depths a network of blocks can have."""

from crlscale.errors import CrlscaleError


def legal_depths_near(depth: int, block_size: int) -> list[int]:
    """The legal depths next to `depth`: below L any, from L on the multiples of L."""
    below = depth // block_size * block_size
    return [d for d in (below, below + block_size) if d > 0]


def halves(depth: int, block_size: int) -> tuple[int, int]:
    """A legal depth D as two legal depths, the larger one first. They add up to D (to 2 at D = 1, since
    each has a layer at least) and differ by a block at most: 4 = 2 + 2, 8 = 4 + 4, 12 = 8 + 4."""
    unit = block_size if depth > block_size else 1
    smaller = max(1, depth // unit // 2 * unit)
    return max(1, depth - smaller), smaller


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
