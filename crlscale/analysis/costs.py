"""What a cell costs, in each of the ways in which cells are compared."""

from collections.abc import Callable
from dataclasses import dataclass

from crlscale.cost import actor_parameters, critic_parameters, update_flops
from crlscale.score import CellScore


@dataclass(frozen=True)
class CostKind:
    """`measure` gives the cost of a run of a cell, None where it was not measured."""

    name: str
    unit: str
    measure: Callable[[CellScore], float | None]


def _parameters(cell: CellScore) -> float:
    return float(actor_parameters(cell.config) + critic_parameters(cell.config))


def _training_flops(cell: CellScore) -> float:
    return float(update_flops(cell.config)) * cell.updates


PARAMETERS = CostKind("parameters", "parameters of actor and critic", _parameters)
FLOPS = CostKind("training_flops", "FLOPs of all updates", _training_flops)
HOURS = CostKind("hours", "hours of training", lambda cell: cell.hours)
CPU_HOURS = CostKind(
    "cpu_hours", "CPU hours of the process, compiling and evaluating too", lambda cell: cell.cpu_hours
)
KINDS = (PARAMETERS, FLOPS, HOURS, CPU_HOURS)
