"""Our SAC and TD3 beside brax's SAC on brax's reacher with its dense reward; docs/methods.md has the result.

`python docs/sac_beside_brax.py sac FOLDER`  with crlscale's environment; also `td3`
`PEER/bin/python docs/sac_beside_brax.py peer FOLDER`  with one that has brax and a jax that brax's
    trainer still runs on: python3 -m venv PEER; PEER/bin/pip install 'jax<=0.9.2' 'jaxlib<=0.9.2' brax
`python docs/sac_beside_brax.py table FOLDER`  prints both as Markdown

Both: equal task, env steps, updates, batch, discount, step size, target entropy, speed of the targets.
A seed that is finished in FOLDER is not run again. Letters: N envs, M episodes, S state, A action."""

import json
import sys
import time
from pathlib import Path

SEEDS = 5
STEPS, EVALUATIONS, EPISODE = 96_000, 6, 1000  # env steps; episodes as brax registers them
ENVS, BATCH, DISCOUNT, RATE, POLYAK = 64, 256, 0.95, 3e-4, 0.005
UPDATES = 4  # for each step of all envs
PREFILL = 100  # steps of each env
UNROLL = 50  # steps of each env between two turns of learning, here
EPISODES = 32  # of an evaluation, deterministic policy


def peer(seed: int) -> list[dict]:
    """brax.training.agents.sac, two hidden layers of 256 with relu."""
    from brax import envs
    from brax.training.agents.sac import train

    found = []
    train.train(
        environment=envs.get_environment("reacher"),
        num_timesteps=STEPS,
        episode_length=EPISODE,
        num_envs=ENVS,
        num_eval_envs=EPISODES,
        learning_rate=RATE,
        discounting=DISCOUNT,
        seed=seed,
        batch_size=BATCH,
        num_evals=EVALUATIONS + 1,
        tau=POLYAK,
        min_replay_size=PREFILL * ENVS,
        max_replay_size=STEPS,
        grad_updates_per_step=UPDATES,
        deterministic_eval=True,
        progress_fn=lambda steps, metrics: found.append(
            {"env_steps": int(steps), "return": float(metrics["eval/episode_reward"])}
        ),
    )
    return found


def dense_reacher():
    """brax's reacher as a task of ours: the achieved "goal" of a step is its reward, which SAC then
    reads as reward; the commanded goal is a constant 0."""
    import dataclasses

    import jax.numpy as jnp
    from brax import envs

    from crlscale.envs.goal_env import GoalEnv
    from crlscale.envs.registry import task_spec

    class Dense(GoalEnv):
        def __init__(self):
            self.env = envs.get_environment("reacher")
            sizes = {"state_size": self.env.observation_size, "goal_size": 1}
            sizes["action_size"] = self.env.action_size
            self.spec = dataclasses.replace(task_spec("chain_2"), name="dense", cases=None, **sizes)

        def sample_goal(self, rng):
            return jnp.zeros(1)

        def start(self, rng, goal):
            return self._with_goal(self.env.reset(rng))

        def step(self, state, action):
            inner = state.replace(obs=state.obs[: self.spec.state_size])
            return self._with_goal(self.env.step(inner, action))

        def achieved(self, state):
            return state.reward[..., None]

        def distance(self, achieved, goal):
            return achieved[..., 0]

        def inside(self, achieved, goal):
            return achieved[..., 0]

        def _with_goal(self, state):
            return state.replace(obs=jnp.concatenate([state.obs, jnp.zeros(1)]))

    return Dense()


def config_of(agent: str):
    """What trains here: depth 2, width 256."""
    from crlscale.config import RunConfig

    return RunConfig(
        env="reacher",
        agent=agent,
        depth=2,
        width=256,
        batch_size=BATCH,
        num_envs=ENVS,
        unroll_length=UNROLL,
        episode_length=EPISODE,
        prefill_steps=PREFILL,
        replay_capacity=STEPS // ENVS,
        discount=DISCOUNT,
        actor_learning_rate=RATE,
        critic_learning_rate=RATE,
        **({"alpha_learning_rate": RATE} if agent == "sac" else {}),
        polyak=POLYAK,
    )


def episode_return(program, env):
    """-> function of an actor and a key: mean over M deterministic episodes."""
    import jax
    import jax.numpy as jnp

    from crlscale.agents.interface import algorithm

    method = algorithm(program.agent)
    nets = method.networks(program, env.spec.action_size)

    @jax.jit
    def measure(actor, rng):
        start = jax.vmap(env.reset)(jax.random.split(rng, EPISODES))
        age = jnp.zeros(EPISODES, jnp.int32)

        def step(states, _):
            states = jax.vmap(env.step)(states, method.act_deterministic(nets, actor, states.obs, age))
            return states, states.reward

        return jnp.sum(jax.lax.scan(step, start, length=EPISODE)[1]) / EPISODES

    return measure


def ours(agent: str, seed: int) -> list[dict]:
    """agents/sac.py or td3.py by the kernel that trains every method."""
    import jax
    import jax.numpy as jnp

    from crlscale.program import split
    from crlscale.train import make_trainer

    program, hyper = split(config_of(agent))
    env = dense_reacher()
    trainer, measure = make_trainer(program, 1, env), episode_return(program, env)
    state = trainer.init(jax.random.PRNGKey(seed)[None])
    tally = trainer.start_tally(state)
    found = []

    def evaluate(steps):
        actor = jax.tree.map(lambda x: x[0], state.agent.actor)
        value = measure(actor, jax.random.PRNGKey(1000 * (seed + 1) + len(found)))
        found.append({"env_steps": steps, "return": float(value)})
        print(agent, seed, found[-1], file=sys.stderr, flush=True)

    evaluate(0)
    prefill, phases = PREFILL // UNROLL, STEPS // ENVS // UNROLL
    state, tally = trainer.epoch(hyper, state, tally, jnp.int32(prefill), jnp.int32(0))
    done = prefill
    for part in range(EVALUATIONS):
        upto = prefill + (phases - prefill) * (part + 1) // EVALUATIONS
        state, tally = trainer.epoch(
            hyper, state, tally, jnp.int32(upto - done), jnp.int32(UNROLL * UPDATES)
        )
        done = upto
        evaluate(done * UNROLL * ENVS)
    return found


def table(folder: Path) -> str:
    """The last return of each seed, means and standard deviations; the curves of the means."""
    lines = ["| | returns at the end, seed by seed | mean | standard deviation |", "|---|---|---|---|"]
    curves = []
    for who, words in {"peer": "brax's SAC", "sac": "`agent=sac`", "td3": "`agent=td3`"}.items():
        runs = [json.loads(path.read_text())["curve"] for path in sorted(folder.glob(f"{who}-*.json"))]
        ends = [run[-1]["return"] for run in runs]
        mean = sum(ends) / len(ends)
        spread = (sum((end - mean) ** 2 for end in ends) / (len(ends) - 1)) ** 0.5
        lines.append(f"| {words} | {', '.join(f'{x:.1f}' for x in ends)} | {mean:.1f} | {spread:.1f} |")
        points = [
            f"{run[0]['env_steps']:,}: {sum(p['return'] for p in run) / len(run):.0f}"
            for run in zip(*runs, strict=True)
        ]
        curves.append(f"{words}, env steps and mean return: {'; '.join(points)}")
    return "\n".join([*lines, "", *curves])


def main() -> int:
    who, folder = sys.argv[1], Path(sys.argv[2])
    if who == "table":
        print(table(folder))
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):
        path = folder / f"{who}-{seed}.json"
        if path.exists():
            continue
        began, cpu = time.time(), time.process_time()
        curve = peer(seed) if who == "peer" else ours(who, seed)
        took = {"seconds": time.time() - began, "cpu_seconds": time.process_time() - cpu}
        path.write_text(json.dumps({"seed": seed, **took, "curve": curve}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
