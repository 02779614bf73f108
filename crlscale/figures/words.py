"""What the captions of all figures say alike: seeds, intervals, budget, what is missing."""

from crlscale.score import CellScore, RunScore
from crlscale.stats import INTERVAL_METHOD, Estimate, coverage_note


def score_label(*cells: CellScore) -> str:
    """Label of an axis that shows scores; the length of an episode where it is one for all."""
    lengths = {cell.config.episode_length for cell in cells}
    return f"time at goal [steps{f' of {lengths.pop()}' if len(lengths) == 1 else ''}]"


def exact(number: float | None) -> str:
    """A measured number as it is stored, to eight digits."""
    return "not measured" if number is None else f"{number:.8g}"


def estimate_words(found: Estimate) -> str:
    """An IQM in exact numbers."""
    seeds = f"{found.seeds} seed{'s' * (found.seeds != 1)}"
    if found.low is None:
        return f"IQM {exact(found.value)} of {seeds}, no interval: {found.no_interval}"
    bounds = f"{exact(found.low)} to {exact(found.high)}"
    return f"IQM {exact(found.value)} of {seeds}, 95 % interval {bounds}"


def cell_words(cell: CellScore) -> str:
    """A cell in exact numbers."""
    return f"{cell.where}: {estimate_words(cell.estimate)}"


def run_words(cell: CellScore, run: RunScore) -> str:
    """A run in exact numbers, with its name."""
    diverged = ", diverged" * (run.status == "diverged")
    return f"{cell.where}, seed {run.seed}: {exact(run.score)}{diverged}; run {run.run_id}"


def seeds_words(cells: tuple[CellScore, ...], each: str) -> str:
    """ "5 seeds a level", or the range where cells differ."""
    counts = sorted({len(cell.scores) for cell in cells if cell.estimate is not None})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{number} seed{'s' * (counts != [1])} a {each}"


def interval_words(cells: tuple[CellScore, ...], mark: str) -> str:
    """Which interval the `mark` (bars, band) is and what it is worth, or why there is none."""
    finished = [cell.estimate for cell in cells if cell.estimate is not None]
    seeds = [found.seeds for found in finished if found.low is not None]
    bare = sorted({found.no_interval for found in finished if found.low is None})
    words = []
    if seeds:
        words.append(f"{mark}: 95 % {INTERVAL_METHOD} ({coverage_note(min(seeds))})")
    if bare:
        words.append(f"{'no' if not seeds else 'elsewhere no'} interval: {', '.join(bare)}")
    if min(found.seeds for found in finished) < 4:
        words.append("below 4 seeds the IQM is the mean")
    return "; ".join(words)


def budget_words(cells: tuple[CellScore, ...]) -> str:
    """Env steps and updates of a run."""
    steps = _range({cell.config.total_env_steps for cell in cells})
    updates = _range({cell.config.total_updates for cell in cells})
    return f"{steps} env steps and {updates} updates a run"


def missing_words(cells: tuple[CellScore, ...]) -> str:
    """Diverged and missing runs by cell; empty if there are none."""
    noted = [f"{cell.where}: {cell.note}" for cell in cells if cell.note]
    return f"exceptions: {'; '.join(noted)}" if noted else ""


def sentences(*parts: str) -> str:
    """The parts that are not empty, each as a sentence."""
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts if part)


def _range(numbers: set[int]) -> str:
    if len(numbers) == 1:
        return f"{min(numbers):,}"
    return f"{min(numbers):,} to {max(numbers):,}"
