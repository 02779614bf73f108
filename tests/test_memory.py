"""Memory of the compiled training program, from shapes alone."""

import jax
import jax.numpy as jnp
import pytest

from crlscale.config import RunConfig
from crlscale.cost import actor_parameters, critic_parameters
from crlscale.program import split
from crlscale.train import make_trainer

GIB = 2**30


@pytest.mark.slow
def test_1024_layers_of_width_256_at_batch_512_fit_beside_their_parameters():
    """Above the state that is carried (parameters, both moments, the ring, which are written in place)
    an update needs less than 4 GiB; and the ring takes its rows and at most a tenth more."""
    config = RunConfig(env="chain_8", depth=1024, width=256, batch_size=512)
    program, hyper = split(config)
    trainer = make_trainer(program, 1)
    state = jax.eval_shape(trainer.init, jax.ShapeDtypeStruct((1, 2), jnp.uint32))
    tally = jax.eval_shape(trainer.start_tally, state)
    count = jax.ShapeDtypeStruct((), jnp.int32)
    compiled = trainer.epoch.lower(hyper, state, tally, count, count).compile()
    memory = compiled.memory_analysis()
    ring = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.replay))
    row = 4 * (16 + 8 + 2) + 1 + 2 * 4  # chain_8: state, action, reached goal; ending; two counts
    asked = config.replay_capacity * config.num_envs * row
    assert asked <= ring <= 1.1 * asked
    carried = 3 * 4 * (actor_parameters(config) + critic_parameters(config)) + ring
    assert memory.argument_size_in_bytes < 1.02 * carried
    assert memory.alias_size_in_bytes > 0.99 * carried
    assert memory.temp_size_in_bytes < 4 * GIB
