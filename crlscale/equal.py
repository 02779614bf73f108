"""Cells of equal size: the width or the depth at which a cell matches a reference cell."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from crlscale.config import RunConfig
from crlscale.cost import actor_parameters, critic_parameters, train_flops, update_flops
from crlscale.errors import CrlscaleError
from crlscale.settings import make_config

LARGEST = 2**24  # neither width nor depth is looked for above this
FARTHEST = 2.0  # a match that is off by more than this factor is none


def parameters(config: RunConfig) -> float:
    """Parameters of the actor and both critic encoders."""
    return float(actor_parameters(config) + critic_parameters(config))


MEASURES: dict[str, Callable[[RunConfig], float]] = {
    "parameters": parameters,
    "update_flops": update_flops,
    "train_flops": train_flops,
}
SOLVABLE = ("width", "depth")


@dataclass(frozen=True)
class Equal:
    """Choose `solve` so that `what` of a cell is nearest that of the same cell with `reference` put
    in. Widths are whole numbers, depths legal ones; the nearest is the one whose ratio to the
    reference is nearest 1 in logarithm, and that ratio is written down."""

    what: str
    solve: str
    reference: dict

    def match(self, values: dict) -> tuple[int, float]:
        """The width or depth for the cell of plain settings `values`, and what it has as a share of
        what the reference has."""
        measure = MEASURES[self.what]
        target = measure(make_config({**values, **self.reference}))
        at = self._candidate(values)

        def share(index: int) -> float:
            return measure(make_config({**values, self.solve: at(index)})) / target

        low = 1
        if share(1) < 1:
            high = 2
            while share(high) < 1:
                high *= 2
                if at(high) > LARGEST:
                    raise self._unsolvable(f"even {self.solve} {at(high // 2)} has less", values)
            low = high // 2
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if share(middle) < 1 else (low, middle)
        best = min((low, low + 1), key=lambda index: abs(math.log(share(index))))
        found = share(best)
        if not 1 / FARTHEST <= found <= FARTHEST:
            raise self._unsolvable(f"nearest is {self.solve} {at(best)} with {found:.3g} of it", values)
        return at(best), found

    def _candidate(self, values: dict) -> Callable[[int], int]:
        """Index 1, 2, ... -> width, or the legal depths in order."""
        if self.solve == "width":
            return lambda index: index
        block = values.get("block_size", RunConfig.model_fields["block_size"].default)
        return lambda index: index if index < block else (index - block + 1) * block

    def _unsolvable(self, why: str, values: dict) -> CrlscaleError:
        return CrlscaleError(
            f"no {self.solve} gives a cell the {self.what} of {self.reference}: {why}",
            value=self.reference,
            remedy="another reference",
        )
