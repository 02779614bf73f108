"""A study beside the published tables: what is alike, what differs, and a difference only where nothing does.

The tables are those of crlscale/published (source and protocol in each row). Rows of another protocol
are shown and never pooled."""

import csv
from dataclasses import dataclass
from importlib import resources

from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import INTERVAL_METHOD, Estimate

TABLES = ("depth_table", "rerun_table")
OWN_METHOD = "crl"
STEPS_ALIKE = 0.05  # budgets that differ by less are the same


@dataclass(frozen=True)
class Protocol:
    """How a score was measured, in the words of the published tables. `physics` names the engines with
    their versions, "pure JAX", or "not recorded"; `spread` is the kind of interval; `variant` the
    published task (legacy), the corrected one, and what else was changed of it."""

    goals: str
    reset: str
    physics: str
    env_steps_millions: float
    episode_length: int
    width: int
    batch: int
    spread: str
    variant: str


@dataclass(frozen=True)
class PublishedRow:
    """One published mean. `spread` is its standard error [steps]."""

    source: str
    task: str
    method: str
    depth: int
    time_at_goal: float
    spread: float
    seeds: int
    protocol: Protocol
    words: str


@dataclass(frozen=True)
class Beside:
    """A cell of the study and a published row of the same task and depth. `differs` maps each part of the
    protocol that is not the same to (study, published); `difference` is study minus published [steps],
    None unless nothing but the kind of spread differs."""

    cell: CellScore
    row: PublishedRow
    differs: dict[str, tuple[str, str]]
    difference: float | None


@dataclass(frozen=True)
class AgainstPaper:
    """The study, its protocol, its cells beside published rows, and the published tasks. `gain` is the
    ratio of the deepest over the shallowest cell of the study; `gains` the same of each published task
    (from depth 4 to 64), for their shape only."""

    study: str
    task: str
    protocol: Protocol
    cells: tuple[CellScore, ...]
    beside: tuple[Beside, ...]
    gain: tuple[int, int, float] | None
    gains: dict[str, float]

    @property
    def differs(self) -> dict[str, tuple[str, str]]:
        """Every part of the protocol that differs from some row."""
        found: dict[str, tuple[str, str]] = {}
        for beside in self.beside:
            found |= beside.differs
        return found

    @property
    def pooled(self) -> int:
        return sum(beside.difference is not None for beside in self.beside)

    @property
    def sentence(self) -> str:
        if not self.beside:
            text = f"No published table has {self.task} at a depth of this study"
            if self.gain is not None:
                low, high, ratio = self.gain
                text += f"; its score at depth {high} is {ratio:.1f} times that at {low}"
            known = ", ".join(f"{task} {ratio:.1f}" for task, ratio in self.gains.items())
            return f"{text}. Published ratios of depth 64 to 4, other tasks and protocols: {known}."
        text = f"{len(self.beside)} published rows stand beside this study of {self.task}"
        if self.pooled:
            text += f"; {self.pooled} have its protocol and a difference"
        if self.differs:
            parts = "; ".join(f"{part} {a} here, {b} there" for part, (a, b) in self.differs.items())
            text += f"; not pooled where the protocol differs: {parts}"
        return f"{text}."

    def require_pooled(self) -> None:
        """Refuse to give differences from rows of another protocol."""
        if self.beside and self.pooled == len(self.beside):
            return
        what = ", ".join(self.differs) if self.beside else "no published row has this task and depth"
        raise CrlscaleError(
            f"study {self.study!r} and the published rows are not pooled: {what}",
            value=self.study,
            remedy=f"crlscale compare paper {self.study} (side by side), or --protocol legacy in the sweep",
        )


def against_paper(scores: StudyScores, versions: dict[str, str] | None = None) -> AgainstPaper:
    """The scored cells of the study beside every published row of contrastive RL on its task at the
    same depth; `versions` are those that its runs recorded."""
    scores.require_finished()
    cells = scores.finished
    config = cells[0].config
    beside = tuple(
        _beside(cell, row, _protocol(cell, versions))
        for cell in cells
        for row in published_rows()
        if (row.task, row.method, row.depth) == (cell.config.env, OWN_METHOD, cell.config.depth)
        and cell.config.actor_layers == cell.config.critic_layers
    )
    return AgainstPaper(
        scores.study.name,
        config.env,
        _protocol(cells[0], versions),
        cells,
        beside,
        _gain(cells),
        _published_gains(),
    )


def published_rows() -> list[PublishedRow]:
    """Every row of the tables of time at goal."""
    return [_row(line) for table in TABLES for line in read_table(table)]


def read_table(name: str) -> list[dict[str, str]]:
    """The lines of crlscale/published/NAME.csv as text by column."""
    text = resources.files("crlscale").joinpath("published", f"{name}.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def _row(line: dict[str, str]) -> PublishedRow:
    protocol = Protocol(
        line["eval_goals"],
        line["reset_rule"],
        line["physics"],
        float(line["env_steps_millions"]),
        1000,
        int(line["width"]),
        int(line["batch"]),
        line["spread_kind"],
        "legacy" if int(line["depth"]) >= 4 else "legacy, plain layers without a residual",
    )
    return PublishedRow(
        line["source"],
        line["task"],
        line.get("method", OWN_METHOD),
        int(line["depth"]),
        float(line["time_at_goal"]),
        float(line["stderr"]),
        int(line["seeds"]),
        protocol,
        line["protocol"],
    )


def _protocol(cell: CellScore, versions: dict[str, str] | None) -> Protocol:
    config = cell.config
    physics = "pure JAX"
    if config.backend is not None:
        known = {"brax": "brax", "mujoco-mjx": "mjx", "mujoco_mjx": "mjx"}
        named = [f"{known[name]} {v}" for name, v in sorted((versions or {}).items()) if name in known]
        physics = ", ".join(named) or "not recorded"
    return Protocol(
        config.goal_set,
        config.reset,
        physics,
        config.total_env_steps / 1e6,
        config.episode_length,
        config.width,
        config.batch_size,
        INTERVAL_METHOD,
        ", ".join([config.protocol, *_changed(config)]),
    )


def _changed(config) -> list[str]:
    fields = ("success", "goals", "friction", "maze", "stitch")
    default = {field: type(config).model_fields[field].default for field in fields}
    return [f"{k} {getattr(config, k)}" for k in fields if getattr(config, k) != default[k]]


def _beside(cell: CellScore, row: PublishedRow, ours: Protocol) -> Beside:
    differs = {}
    for part in Protocol.__dataclass_fields__:
        here, there = getattr(ours, part), getattr(row.protocol, part)
        alike = here == there
        if part == "env_steps_millions":
            alike = abs(here - there) <= STEPS_ALIKE * there
            here, there = f"{here:g}M", f"{there:g}M"
        if not alike:
            differs[part.replace("_millions", "")] = (str(here), str(there))
    same = set(differs) <= {"spread"}
    return Beside(cell, row, differs, cell.estimate.value - row.time_at_goal if same else None)


def _gain(cells: tuple[CellScore, ...]) -> tuple[int, int, float] | None:
    """Shallowest and deepest depth, and the ratio of their scores."""
    ordered = sorted(cells, key=lambda cell: cell.config.depth)
    low, high = ordered[0], ordered[-1]
    base: Estimate = low.estimate
    if low.config.depth == high.config.depth or base.value <= 0:
        return None
    return low.config.depth, high.config.depth, high.estimate.value / base.value


def _published_gains() -> dict[str, float]:
    at = {
        (line["task"], line["depth"]): float(line["time_at_goal"]) for line in read_table("depth_table")
    }
    return {task: at[task, "64"] / value for (task, depth), value in at.items() if depth == "4"}
