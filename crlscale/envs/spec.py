"""What the planner must know of a task without building it: plain data, no jax."""

from collections.abc import Callable
from dataclasses import dataclass

from crlscale.envs.mazes import Case, Maze

RADII = ("easy", "standard", "hard")


@dataclass(frozen=True)
class Options:
    """Variants of a task, all at the task's own rule by default; config.py describes each field."""

    backend: str | None = None
    success: str = "standard"
    goals: str = "task"
    goal_in_state: bool = False
    time_step: str = "task"
    friction: float | None = None
    maze: str | None = None
    stitch: int | None = None


PLAIN = Options()


@dataclass(frozen=True)
class Engine:
    """The physics of a task: the backend in force, those that work, length of a sub-step [s] and
    sub-steps of one env step. The env step lasts `time_step * sub_steps`."""

    backend: str
    backends: tuple[str, ...]
    time_step: float
    sub_steps: int


@dataclass(frozen=True)
class TaskSpec:
    """One task with its options applied.

    `episode_length` is the default time limit in env steps, `discount` the default decay of the
    hindsight goal's distance, `radii` the success radii that exist by name and `success_radius` the
    one in force, `goal_sets` the legal goal sets of an evaluation (the first one scores a run by
    default). `cases` are the distinct pairs of start and goal that an evaluation commands in turn,
    None where goals are drawn from a continuum. `legacy_in_state` says whether the published
    version's state contains the commanded goal, `legacy_time_step` whether it really
    ran another sub-step, so that `time_step="published"` differs. `step_seconds` is about what an
    env step costs one core, `compile_seconds` about what a compile of it does (docs/performance.md).
    """

    name: str
    family: str
    state_size: int
    goal_size: int
    action_size: int
    episode_length: int
    discount: float
    radii: tuple[tuple[str, float], ...]
    goal: str
    source: str
    goal_sets: tuple[str, ...] = ("all",)
    cases: tuple[Case, ...] | None = None
    maze: Maze | None = None
    engine: Engine | None = None
    options: Options = PLAIN
    legacy_in_state: bool = False
    legacy_time_step: bool = False
    step_seconds: float = 1.5e-6
    compile_seconds: float = 0.0

    @property
    def success_radius(self) -> float:
        return dict(self.radii)[self.options.success]

    @property
    def goal_cells(self) -> int | None:
        """How many cases there are, None for a continuum."""
        return None if self.cases is None else len(self.cases)

    @property
    def env_step_seconds(self) -> float | None:
        """Simulated seconds of one env step, None without physics."""
        return self.engine.time_step * self.engine.sub_steps if self.engine else None


@dataclass(frozen=True)
class Family:
    """Tasks that one class builds.

    `names` are those that `crlscale envs` lists, `build(name, options)` gives the spec of any name
    of the family or None, `options` are the fields of Options that it understands, and `env` is
    "module:Class" of the GoalEnv, which is called with the spec."""

    names: tuple[str, ...]
    build: Callable[[str, Options], TaskSpec | None]
    options: frozenset[str]
    env: str
