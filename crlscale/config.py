"""RunConfig: everything that decides one run, frozen and complete; what is derived is a property."""

import hashlib
import json
import math
from dataclasses import fields
from functools import cached_property
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from crlscale.architecture import Architecture
from crlscale.depths import check_depth
from crlscale.envs.registry import task_spec
from crlscale.envs.spec import Options, TaskSpec
from crlscale.errors import CrlscaleError
from crlscale.methods import METHOD_FIELDS, Method, check_method, find_method
from crlscale.survival_fields import MAX_DISCOUNT, SurvivalFields, check_survival, later

DEFAULT_ENV = "chain_8"
INT32_MAX = 2**31 - 1
ENV_STEPS_PER_UPDATE = 40  # the study's ratio: 31,744 env steps and 800 updates a phase


def positive(description: str, default=..., **more):
    return Field(default, gt=0, description=description, **more)


class RunConfig(SurvivalFields):
    """The settings of one run. Defaults are those of arXiv 2503.14858, Table 7, but for the
    task and the sizes, which a preset sets. Lengths are counted in env steps of one env
    unless the description says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    env: str = Field(DEFAULT_ENV, description="task, as `crlscale envs` lists it")
    maze: str | None = later(
        "layout of your own for point_maze, ant_maze, humanoid_maze; rows by blanks", None
    )
    backend: str | None = later("physics engine of brax; null = the task's", None)
    friction: float | None = later("sliding friction of floor and robot; null = the task's", None, ge=0)
    success: Literal["easy", "standard", "hard"] = later("which success radius of the task", "standard")
    goals: Literal["task", "single"] = later("commanded goals: the task's, or one fixed goal", "task")
    stitch: int | None = later(
        "train on starts and goals at most so many cells apart, the others are far; null = off",
        None,
        gt=0,
    )
    protocol: Literal["corrected", "legacy"] = later(
        "what reset, goal_in_state and time_step are if not given", "corrected"
    )
    reset: Literal["episode", "frozen"] | None = later(
        "start and goal: new at each episode, or for each env the first for ever", None
    )
    goal_in_state: bool | None = later("whether the state holds the commanded goal", None)
    time_step: Literal["task", "published"] | None = later(
        "sub-step of the physics: as meant, or as the published code really ran", None
    )
    seed: int = Field(0, ge=0, le=INT32_MAX, description="root of every random key of the run")

    agent: str = later("method; docs/methods.md tells of each", "crl")
    energy: Literal["l2", "squared_l2", "dot", "cosine", "mrn"] = later(
        "crl: likeness of embeddings; mrn is a quasimetric", "l2"
    )
    contrastive_loss: Literal["forward", "backward", "symmetric", "binary"] = later(
        "crl: InfoNCE over goals, over state-action pairs or both, or binary NCE", "forward"
    )
    trajectory_negatives: int = later("crl: more negatives of a row, from its own trajectory", 0, ge=0)
    hindsight_share: float = later(
        "HER: share of a batch whose goal is replaced by one achieved later", 0.8, gt=0, le=1
    )
    survival_weights: bool = later("safe_crl: whether rows weigh by survival mass", True)
    survival_bonus: float = later("safe_crl: weight of log survival for the actor", 1.0, ge=0)
    polyak: float = later("sac, td3: share of the way that targets move an update", 0.005, gt=0, le=1)
    exploration_noise: float = later("td3: standard deviation of the noise on actions", 0.1, ge=0)
    commanded_horizon: int | None = later("gcsl: steps that it asks for; null = all left", None, gt=0)
    chunk_length: int | None = later(
        "actions decided at once and carried out open loop; null = the method's", None, gt=0
    )
    collector_depth: int | None = later("depth of a second agent, which acts; null = none", None, gt=0)

    depth: int = positive("Dense layers inside the residual trunk of each network", 4)
    actor_depth: int | None = positive("depth of the actor; null = depth", None)
    critic_depth: int | None = positive("depth of both critic encoders; null = depth", None)
    width: int = positive("units of every hidden layer", 256)
    block_size: int = positive("Dense layers of one residual block", 4)
    representation_size: int = positive("size of the critic's embeddings", 64)
    precision: Literal["float32", "mixed"] = Field(
        "float32", description="inputs of the matmuls: float32, or bfloat16 (mixed)"
    )

    batch_size: int = Field(512, ge=2, description="triples (state, action, goal) of one update")
    num_envs: int = positive("parallel envs", 512)
    unroll_length: int = positive("env steps of each env between updates", 62)
    episode_length: int | None = positive("time limit; null = the task's", None, le=INT32_MAX)
    updates_per_phase: int | None = positive(
        "updates after each unroll; null = round(num_envs * unroll_length / 40), at least 1", None
    )
    env_steps: int = positive("nominal env steps of the run, all envs together", 100_000_000)
    prefill_steps: int = positive("env steps of each env before the first update, at least", 1000)
    replay_capacity: int = positive("newest env steps of each env that are sampled", 10_000)
    replay_precision: Literal["float32", "bfloat16"] = later("of states in the replay", "float32")
    evaluations: int = positive("evaluations after the one before training", 100)
    eval_episodes: int = positive("episodes of one evaluation, at least", 128)
    goal_set: Literal["far", "near", "all"] | None = Field(
        None, description="goals that score the run; null = far where the task has it, else all"
    )

    discount: float | None = Field(
        None,
        gt=0,
        le=MAX_DISCOUNT,
        description="decay of the hindsight goal's distance; null = the method's or the task's",
    )
    hindsight_window: int | None = positive(
        "farthest hindsight goal; null = end of episode", None, le=INT32_MAX
    )
    actor_learning_rate: float = positive("Adam step size of the actor", 3e-4)
    critic_learning_rate: float = positive("Adam step size of both encoders", 3e-4)
    alpha_learning_rate: float = positive("Adam step size of log alpha", 3e-4)
    logsumexp_penalty: float = Field(0.1, ge=0, description="weight of the squared logsumexp")
    target_entropy: float = Field(-0.5, description="wanted policy entropy per action dimension [nat]")
    residual: bool = later("whether the input of a block is added to its output", True)
    layer_norm: bool = later("whether layers have a LayerNorm", True)
    activation: Literal["swish", "relu"] = later("of every layer", "swish")
    residual_scale: Literal["one", "inverse_sqrt"] = later(
        "factor of what a block adds: 1, or 1 / sqrt(number of blocks)", "one"
    )
    zero_init: bool = later("whether every block adds nothing at first", False)
    norm_order: Literal["post", "pre"] = later(
        "LayerNorm after the Dense of a layer, or before", "post"
    )
    hyperspherical: bool = later("rows of every kernel and all features on spheres", False)
    gradient_clip: float | None = later(
        "largest gradient norm of actor and of critic; null = any", None, gt=0
    )
    warmup_updates: int = later("updates over which the step sizes rise from 0", 0, ge=0, le=INT32_MAX)

    @model_validator(mode="after")
    def _complete(self):
        """Fill in what the task decides, so that a saved config does not change with the task."""
        legacy = self.protocol == "legacy"
        plain = self._plain_task
        self._fill("reset", "frozen" if legacy else "episode")
        self._fill("goal_in_state", legacy and plain.legacy_in_state)
        self._fill("time_step", "published" if legacy and plain.legacy_time_step else "task")
        self._fill("backend", plain.engine.backend if plain.engine else None)
        self._fill("discount", find_method(self.agent).discount or plain.discount)
        self._fill("episode_length", plain.episode_length)
        self._fill("chunk_length", self.method.chunk_length)
        self._fill("goal_set", self.task.goal_sets[0])
        return self

    def _fill(self, field: str, value: object) -> None:
        if getattr(self, field) is None:
            object.__setattr__(self, field, value)

    @model_validator(mode="after")
    def _check(self):
        _ = self.architecture  # refuses what does not go together
        for field in ("depth", "actor_depth", "critic_depth", "collector_depth"):
            check_depth(field, getattr(self, field), self.block_size)
        check_method(
            self.agent, {f: RunConfig.model_fields[f].default for f in METHOD_FIELDS}, vars(self)
        )
        if "survival_horizon" in self.method.reads:
            check_survival(self)
        legal = self.task.goal_sets
        if self.goal_set not in legal:
            raise CrlscaleError(
                f"goal_set {self.goal_set!r} is not defined for {self.env}; legal: {', '.join(legal)}",
                value=self.goal_set,
                remedy=f"--set goal_set={legal[0]}",
            )
        self._at_most("prefill_steps", "replay_capacity")
        self._at_most("unroll_length", "replay_capacity")
        if self.chunk_length is not None:
            self._at_most("chunk_length", "episode_length")
        return self

    def _at_most(self, field: str, limit: str) -> None:
        value, largest = getattr(self, field), getattr(self, limit)
        if value > largest:
            raise CrlscaleError(
                f"{field} {value} is over {limit} {largest}",
                value=value,
                remedy=f"--set {field}={largest}",
            )

    # --- what follows -------------------------------------------------------------------
    @cached_property
    def task(self) -> TaskSpec:
        options = {key: getattr(self, key) for key in _OPTIONS}
        return task_spec(self.env, Options(**options))

    @property
    def _plain_task(self) -> TaskSpec:
        """The task without any variant."""
        return task_spec(self.env, Options(maze=self.maze))

    @property
    def architecture(self) -> Architecture:
        return Architecture(**{field.name: getattr(self, field.name) for field in fields(Architecture)})

    @property
    def method(self) -> Method:
        return find_method(self.agent)

    @property
    def actor_layers(self) -> int:
        return self.actor_depth or self.depth

    @property
    def critic_layers(self) -> int:
        return self.critic_depth or self.depth

    @property
    def chunk_steps(self) -> int:
        """Steps that one decision of the actor lasts."""
        return self.chunk_length or 1

    @property
    def phase_env_steps(self) -> int:
        return self.num_envs * self.unroll_length

    @property
    def updates(self) -> int:
        """Updates of one phase."""
        ratio = round(self.phase_env_steps / ENV_STEPS_PER_UPDATE)
        return self.updates_per_phase or max(1, ratio)

    @property
    def env_steps_per_update(self) -> float:
        return self.phase_env_steps / self.updates

    @property
    def prefill_unrolls(self) -> int:
        return math.ceil(self.prefill_steps / self.unroll_length)

    @property
    def phases_per_epoch(self) -> int:
        """Phases between two evaluations: as many as fit the nominal env steps, at least 1."""
        return max(1, self.env_steps // (self.evaluations * self.phase_env_steps))

    @property
    def prefill_env_steps(self) -> int:
        return self.prefill_unrolls * self.phase_env_steps

    @property
    def total_env_steps(self) -> int:
        """Env steps that really run, prefill included (evaluation episodes are not counted)."""
        return self.prefill_env_steps + self.evaluations * self.phases_per_epoch * self.phase_env_steps

    @property
    def total_updates(self) -> int:
        return self.evaluations * self.phases_per_epoch * self.updates

    @property
    def replay_rows(self) -> int:
        """Rows of the ring buffer: capacity rounded up to whole unrolls, so no insert wraps."""
        return math.ceil(self.replay_capacity / self.unroll_length) * self.unroll_length

    @property
    def eval_envs(self) -> int:
        """Episodes of one evaluation: every goal cell equally often."""
        cells = self.task.goal_cells or 1
        return cells * math.ceil(self.eval_episodes / cells)

    @property
    def run_id(self) -> str:
        depth = f"d{self.actor_layers}"
        if self.actor_layers != self.critic_layers:
            depth = f"a{self.actor_layers}-c{self.critic_layers}"
        env = self.env if self.agent == "crl" else f"{self.env}-{self.agent}"
        name = f"{env}-{depth}-w{self.width}-b{self.batch_size}-s{self.seed}"
        return f"{name}-{short_hash(self.identity())}"

    def identity(self) -> dict:
        """What tells this config from others; fields marked `later` count only where they change
        something."""
        plain = self._plain_task
        later = {
            **{key: field.default for key, field in RunConfig.model_fields.items() if _is_later(field)},
            "backend": plain.engine.backend if plain.engine else None,
            "chunk_length": self.method.chunk_length,
            "reset": "episode",
            "goal_in_state": False,
            "time_step": "task",
        }
        return {
            key: value
            for key, value in self.model_dump().items()
            if key not in later or value != later[key]
        }


_OPTIONS = tuple(field.name for field in fields(Options))


def _is_later(field) -> bool:
    return bool((field.json_schema_extra or {}).get("later"))


def short_hash(data: object) -> str:
    """8 hex digits of the SHA-256 of `data` as canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
