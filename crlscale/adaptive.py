"""An adaptive search over a planned depth study: runs of the grid where they tell most.

The study is the full grid, so a run of the search is the run of the sweep. What was asked, found
and decided stands in `search.json` of the study's folder. The decisions follow from the scores, so
the same command goes on where it was: it walks through the rounds again and finds their runs done."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crlscale.errors import CrlscaleError
from crlscale.parquet import finite
from crlscale.record import FINISHED, read_status
from crlscale.score import load_scores
from crlscale.search import START_SEEDS, Decision, Scores, decide
from crlscale.stats import CONFIDENCE
from crlscale.store import read_json, write_json
from crlscale.study import Study

SEARCH_SCHEMA = 1
EXIT_STOPPED = (75, 130)


@dataclass(frozen=True)
class Budget:
    """Runs of the search in all, and hours of wall time over all its sessions; None: no end. Both
    are looked at between two rounds."""

    max_runs: int | None = None
    max_hours: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """How a search stands: the exit code of its last launch, the content of search.json."""

    code: int
    record: dict


def search_study(
    folder: Path,
    study: Study,
    launch: Callable[[list[str]], int],
    budget: Budget,
    tell: Callable[[str], None] = lambda words: None,
) -> SearchResult:
    """Run rounds until the jump is bracketed, cannot be, or the budget ends. `launch` runs the named
    runs and returns an exit code as crlscale.launch does; `tell` hears each decision."""
    check_search(study, budget)
    search = _Search(Path(folder), study, budget)
    failed = False
    while (decision := search.decide()) is not None:
        tell(search.words(decision))
        waiting = search.unfinished()
        code = launch(waiting) if waiting else 0
        failed |= code == 1
        if code in EXIT_STOPPED:
            search.write()
            return SearchResult(code, search.record)
        search.ended(waiting)
    return SearchResult(int(failed), search.record)


class _Search:
    """The rounds so far. `asked`: seeds asked of each level, by rising depth."""

    def __init__(self, folder: Path, study: Study, budget: Budget):
        self.folder, self.study, self.budget = folder, study, budget
        cells = sorted((levels[0], list(run_ids)) for levels, run_ids in study.cells.items())
        self.depths, self.cells = [depth for depth, _ in cells], [run_ids for _, run_ids in cells]
        self.asked = [0] * len(cells)
        self.tried: set[str] = set()  # by this process: a run that failed is not tried for ever
        self.rounds: list[dict] = []
        self.record = _before(folder)
        self.earlier = self.record.get("rounds", [])
        self.superseded = self.record.get("superseded", [])
        self.seconds_before = self.record.get("seconds", 0.0)
        self.began = time.monotonic()

    def decide(self) -> Decision | None:
        """The next round, recorded; None at the end of the search, which is recorded too."""
        decision = decide(self.depths, self._scores(), self.study.seeds)
        ask = [self.cells[level][seed] for level, seed in decision.ask]
        if ask and self._over_budget(ask):
            self.write("budget", decision)
            return None
        self.rounds.append({**self._plain(decision), "spent": sum(self.asked), "ask": ask})
        for level, _ in decision.ask:
            self.asked[level] += 1
        self.write(decision.outcome, decision)
        return None if decision.outcome else decision

    def unfinished(self) -> list[str]:
        """The runs of the last round that have to be run."""
        return [
            run_id
            for run_id in self.rounds[-1]["ask"]
            if run_id not in self.tried and self._state(run_id) not in FINISHED
        ]

    def ended(self, run_ids: list[str]) -> None:
        self.tried.update(run_ids)
        for run_id in run_ids:
            if self._state(run_id) not in (*FINISHED, "failed"):
                raise CrlscaleError(
                    f"{run_id} has not ended, though its launcher has",
                    value=run_id,
                    remedy=f"crlscale status {self.study.name}, then the same command",
                )

    def write(self, outcome: str | None = None, decision: Decision | None = None) -> None:
        """search.json as it is now. The rounds of an earlier session are walked through again before
        anything is written; should scores have changed since, they are kept as superseded."""
        known = min(len(self.rounds), len(self.earlier))
        if self.rounds[:known] != self.earlier[:known]:
            self.superseded, self.earlier = [*self.superseded, self.earlier], []
        if len(self.rounds) < len(self.earlier) and outcome is None:
            return
        self.record = {
            "schema_version": SEARCH_SCHEMA,
            "study": self.study.name,
            "depths": self.depths,
            "rule": {"start_seeds": START_SEEDS, "seeds": self.study.seeds, "confidence": CONFIDENCE},
            "budget": {"max_runs": self.budget.max_runs, "max_hours": self.budget.max_hours},
            "outcome": outcome,
            "sentence": self._sentence(outcome, decision) if outcome else None,
            "low": None if decision is None else self._depth(decision.low),
            "high": None if decision is None else self._depth(decision.high),
            "runs_spent": sum(self.asked),
            "full_grid_runs": len(self.study.configs),
            "seconds": self.seconds_before + time.monotonic() - self.began,
            "rounds": self.rounds,
            "superseded": self.superseded,
        }
        write_json(self.folder / "search.json", self.record)

    def words(self, decision: Decision) -> str:
        """What the next round is for, in one line."""
        runs = {}
        for level, _ in decision.ask:
            runs[self.depths[level]] = runs.get(self.depths[level], 0) + 1
        listed = ", ".join(f"{count} at depth {depth}" for depth, count in runs.items())
        where = ""
        if decision.low is not None:
            where = f"; the half of the rise lies between {self._between(decision)}"
        return f"round {len(self.rounds)}: {listed}{where}"

    # --- parts -------------------------------------------------------------------------------
    def _scores(self) -> Scores:
        """Scores of the asked seeds of each level; None for one that ended without."""
        runs = {run.run_id: run.score for cell in load_scores(self.folder).cells for run in cell.runs}
        levels = enumerate(zip(self.cells, self.asked, strict=True))
        return {level: [runs[i] for i in cell[:asked]] for level, (cell, asked) in levels if asked}

    def _over_budget(self, ask: list[str]) -> bool:
        """Whether a round is more than the budget allows; runs that are done cost no more time."""
        runs, hours = self.budget.max_runs, self.budget.max_hours
        seconds = self.seconds_before + time.monotonic() - self.began
        new = any(self._state(run_id) not in FINISHED for run_id in ask)
        over_runs = runs is not None and sum(self.asked) + len(ask) > runs
        return over_runs or (hours is not None and new and seconds > 3600 * hours)

    def _state(self, run_id: str) -> str:
        return read_status(self.folder / "runs" / run_id)["status"]

    def _depth(self, level: int | None) -> int | None:
        return None if level is None else self.depths[level]

    def _between(self, decision: Decision) -> str:
        return f"{self.depths[decision.low]} and {self.depths[decision.high]}"

    def _plain(self, decision: Decision) -> dict:
        """A decision in the words of the study, for search.json."""
        questions = [
            {
                "question": question.name,
                "depth": self._depth(question.level),
                "weights": {str(self.depths[level]): w for level, w in question.weights.items()},
                "estimate": question.estimate.value,
                "low": question.estimate.low,
                "high": question.estimate.high,
                "answer": question.answer,
            }
            for question in decision.questions
        ]
        plain = {
            "questions": questions,
            "low": self._depth(decision.low),
            "high": self._depth(decision.high),
            "outcome": decision.outcome,
            "sure": decision.sure,
        }
        return finite(plain)

    def _sentence(self, outcome: str, decision: Decision) -> str:
        """The finding and its price."""
        ends = f"{self.depths[0]} and {self.depths[-1]}"
        texts = {
            "flat": f"No jump between depths {ends}: the scores are flat.",
            "undecided": f"No jump between depths {ends} was found: the planned seeds leave undecided"
            " whether the scores differ.",
            "falling": f"No jump between depths {ends}: the scores fall.",
        }
        if outcome == "budget":
            text = "The budget ended."
            if decision.low is not None:
                text += f" The half of the rise lies between depths {self._between(decision)}."
        elif outcome in texts:
            text = texts[outcome]
        else:
            text = self._rise_words(outcome, decision)
        spent, whole = sum(self.asked), len(self.study.configs)
        return f"{text} {spent} runs were spent; the full grid has {whole}."

    def _rise_words(self, outcome: str, decision: Decision) -> str:
        between = self._between(decision)
        doubt = "" if decision.sure else " (not certain with the planned seeds)"
        if outcome == "jump":
            critical = self.depths[decision.high]
            return f"The jump lies between depths {between}: critical depth {critical}{doubt}."
        if outcome == "gradual":
            return (
                f"No critical depth: the scores rise gradually{doubt}; half of the rise lies between"
                f" depths {between}."
            )
        return (
            f"Half of the rise lies between depths {between}; the planned seeds leave undecided where"
            " in between, and whether it is a jump."
        )


def check_search(study: Study, budget: Budget) -> None:
    """Refuse what cannot be searched."""
    if list(study.axes) != ["depth"] or len(study.cells) < 3:
        raise CrlscaleError(
            f"a search needs depth as the only axis, with 3 levels or more; {study.name} has"
            f" {', '.join(study.axes)} and {len(study.cells)} cells",
            value=study.name,
            remedy="crlscale sweep depth --find critical --min 2 --max 64",
        )
    if study.seeds < 2:
        raise CrlscaleError(
            "a search needs 2 seeds or more to tell a jump from noise",
            value=study.seeds,
            remedy="--seeds 5",
        )
    start = 3 * min(START_SEEDS, study.seeds)
    if budget.max_runs is not None and budget.max_runs < start:
        raise CrlscaleError(
            f"--max-runs {budget.max_runs}: the first round alone has {start} runs",
            value=budget.max_runs,
            remedy=f"--max-runs {start}",
        )
    if budget.max_hours is not None and budget.max_hours <= 0:
        raise CrlscaleError(
            f"--max-hours {budget.max_hours:g}: more than 0",
            value=budget.max_hours,
            remedy="--max-hours 1",
        )


def _before(folder: Path) -> dict:
    """search.json of an earlier session; {} without one."""
    path = folder / "search.json"
    return read_json(path) if path.exists() else {}
