"""Runs jaxgcrl's own code in jaxgcrl's environment: `python worker.py < orders`. Imports nothing of crlscale.

Each order is a line of JSON on stdin and is answered by one on stdout: {"update": {sizes}} or {"sampler":
{sizes}} compiles a program, {"times": n} runs the newest one n times. Seconds are CPU time of this process.
"""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState
from jaxgcrl.agents.crl.crl import CRL, TrainingState, Transition, flatten_batch
from jaxgcrl.agents.crl.losses import update_actor_and_alpha, update_critic
from jaxgcrl.agents.crl.networks import Actor, Encoder
from jaxgcrl.utils.replay_buffer import TrajectoryUniformSamplingQueue

GIVEN = 8  # batches that the updates go round
GAMMA = 0.99


def update(depth, width, batch_size, state_size, action_size, goal_size):
    """Actor, alpha and critic, as its `update_networks` calls them. `n_hidden` counts the input layer."""
    shape = {"network_width": width, "network_depth": depth + 1, "skip_connections": 4}
    networks = {
        "actor": Actor(action_size=action_size, **shape),
        "sa_encoder": Encoder(use_ln=True, **shape),
        "g_encoder": Encoder(use_ln=True, **shape),
    }
    sizes = {
        "actor": state_size + goal_size,
        "sa_encoder": state_size + action_size,
        "g_encoder": goal_size,
    }
    made = {
        name: jax.jit(net.init)(jax.random.PRNGKey(index), jnp.ones((1, sizes[name])))
        for index, (name, net) in enumerate(networks.items())
    }
    critic = {name: made[name] for name in ("sa_encoder", "g_encoder")}
    state = TrainingState(
        env_steps=jnp.zeros(()),
        gradient_steps=jnp.zeros(()),
        actor_state=_with_adam(made["actor"]),
        critic_state=_with_adam(critic),
        alpha_state=_with_adam({"log_alpha": jnp.zeros(())}),
    )
    context = {
        **vars(CRL(batch_size=batch_size)),
        "state_size": state_size,
        "goal_indices": np.arange(goal_size),
        "target_entropy": -0.5 * action_size,
    }
    draw = np.random.default_rng(0).standard_normal

    def given(size):
        return jnp.asarray(draw((GIVEN, batch_size, size)), jnp.float32)

    batches = Transition(
        observation=given(state_size + goal_size),
        action=given(action_size),
        reward=jnp.zeros((GIVEN, batch_size)),
        discount=jnp.ones((GIVEN, batch_size)),
        extras={"future_state": given(state_size)},
    )

    def one(index, carry):
        state, sums, key = carry
        key, critic_key, actor_key = jax.random.split(key, 3)
        batch = jax.tree_util.tree_map(lambda x: x[index % GIVEN], batches)
        state, actor_metrics = update_actor_and_alpha(context, networks, batch, state, actor_key)
        state, critic_metrics = update_critic(context, networks, batch, state, critic_key)
        metrics = {**actor_metrics, **critic_metrics}
        return state, sums + sum(map(jnp.mean, metrics.values())), key

    def loop(state, updates):
        return jax.lax.fori_loop(0, updates, one, (state, jnp.zeros(()), jax.random.PRNGKey(1)))

    program, seconds = _compiled(jax.jit(loop), state, 1)
    return lambda times: jax.block_until_ready(program(state, times)), seconds, program


def _with_adam(parameters):
    return TrainState.create(apply_fn=None, params=parameters, tx=optax.adam(3e-4))


def sampler(num_envs, steps, batch_size, state_size, action_size, goal_size):
    """Its buffer's sample, its relabelling, shuffle and cut into batches, as its `training_step` does."""
    size = state_size + goal_size
    extras = {"state_extras": {"truncation": 0.0, "traj_id": 0.0}}
    example = Transition(jnp.zeros(size), jnp.zeros(action_size), 0.0, 0.0, extras)
    buffer = TrajectoryUniformSamplingQueue(steps + 1, example, batch_size, num_envs, steps)
    state = buffer.init(jax.random.PRNGKey(0))
    data = np.random.default_rng(0).standard_normal(state.data.shape).astype(np.float32)
    data[..., -2:] = 0.0  # traj_id and truncation, the last two: one trajectory an env
    state = state.replace(data=jnp.asarray(data), insert_position=jnp.int32(steps + 1))
    order = (GAMMA, state_size, tuple(range(goal_size)))

    def draw(state, key):
        sample_key, shuffle_key = jax.random.split(key)
        state, window = buffer.sample(state)
        keys = jax.random.split(sample_key, num_envs)
        triples = jax.vmap(flatten_batch, in_axes=(None, 0, 0))(order, window, keys)
        triples = jax.tree_util.tree_map(
            lambda x: jnp.reshape(x, (-1, *x.shape[2:]), order="F"), triples
        )
        shuffled = jax.random.permutation(shuffle_key, len(triples.observation))
        whole = len(shuffled) // batch_size * batch_size
        return jax.tree_util.tree_map(
            lambda x: x[shuffled[:whole]].reshape(-1, batch_size, *x.shape[1:]), triples
        )

    program, seconds = _compiled(jax.jit(draw), state, jax.random.PRNGKey(0))

    def run(times):
        for index in range(times):
            jax.block_until_ready(program(state, jax.random.PRNGKey(index)))

    return run, seconds, program


def _compiled(jitted, *arguments):
    began = time.process_time()
    program = jitted.lower(*arguments).compile()
    return program, time.process_time() - began


def main():
    jobs, run = {"update": update, "sampler": sampler}, None
    for line in sys.stdin:
        order = json.loads(line)
        if "times" in order:
            began = time.process_time()
            run(order["times"])
            answer = {"seconds": time.process_time() - began}
        else:
            ((name, sizes),) = order.items()
            run, seconds, program = jobs[name](**sizes)
            memory = program.memory_analysis()
            answer = {
                "compile_seconds": seconds,
                "temporary_bytes": None if memory is None else memory.temp_size_in_bytes,
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
