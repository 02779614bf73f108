"""From which level on does the next one bring less than a stated margin?"""

from dataclasses import dataclass

from crlscale.analysis.critical_depth import Gain, gains
from crlscale.score import CellScore
from crlscale.stats import CONFIDENCE, upper_limit

MARGIN_SHARE = 0.1  # of the best cell's IQM, where no margin is given


@dataclass(frozen=True)
class Saturation:
    """The gains from each scored level of `axis` to the next, and what follows at `margin` [steps].

    `limits` are upper limits of the gains that hold together with 95 % confidence (Bonferroni).
    `level` is the smallest level whose gain to the next is below the margin by its limit; None where
    none is shown to be. `resumes` is a later level that is better than the one before it all the same
    (Holm). `verdict` is saturates, rising (the last gain is above zero), falling (it is below) or
    undecided."""

    axis: str
    margin: float
    gains: tuple[Gain, ...]
    limits: tuple[float | None, ...]
    level: int | None
    resumes: int | None
    verdict: str

    @property
    def largest(self) -> int:
        return self.gains[-1].following

    @property
    def words(self) -> str:
        name = self.axis.replace("_", " ")
        within = f"less than {self.margin:.1f} steps"
        if self.level is not None:
            text = f"saturation {name} {self.level}: the next level brings {within} (95 % confidence)"
            return text + (f", yet scores rise again at {self.resumes}" if self.resumes else "")
        last = self.gains[-1]
        if self.verdict == "undecided":
            shown = "a gain of that size at every level" if last.change.low is None else _last(last)
            return f"no saturation {name} shown up to {self.largest}, nor excluded: {shown}"
        shape = "no plateau" if self.verdict == "rising" else "the scores fall"
        return f"{shape} up to the largest {name} tried, {self.largest}: {_last(last)}"


def saturation(axis: str, cells: list[CellScore], margin: float | None = None) -> Saturation:
    """The result over the scored `cells`, two at least, by rising level of `axis`."""
    found = gains(axis, cells)
    if margin is None:
        margin = MARGIN_SHARE * max(cell.estimate.value for cell in cells)
    confidence = 1 - (1 - CONFIDENCE) / len(found)
    limits = tuple(upper_limit(gain.change, confidence) for gain in found)
    below = [i for i, limit in enumerate(limits) if limit is not None and limit < margin]
    level = found[below[0]].depth if below else None
    last = found[-1].change
    rises = [g.following for g in found if g.corrected is not None and _rises(g)]
    resumes = next((at for at in rises if level is not None and at > found[below[0]].following), None)
    verdict = "undecided"
    if level is not None and resumes is None:
        verdict = "saturates"
    elif last.low is not None and last.low > 0:
        verdict = "rising"
    elif last.high is not None and last.high < 0:
        verdict = "falling"
    return Saturation(axis, margin, found, limits, level, resumes, verdict)


def _rises(gain: Gain) -> bool:
    return gain.corrected <= 1 - CONFIDENCE and gain.change.value > 0


def _last(gain: Gain) -> str:
    text = f"from {gain.depth} to {gain.following} {gain.change.value:+.1f} steps"
    if gain.change.low is None:
        return f"{text} (no interval: {gain.change.no_interval})"
    return f"{text}, 95 % interval {gain.change.low:+.1f} to {gain.change.high:+.1f}"
