"""The table of methods, the page about it, and a method added as that page says."""

import ast
import importlib
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from crlscale import methods
from crlscale.config import RunConfig
from crlscale.cost import actor_parameters, critic_parameters, update_flops
from crlscale.methods import METHOD_FIELDS, METHODS, find_method, readers
from crlscale.program import split

PAGE = (Path(__file__).parent.parent / "docs" / "methods.md").read_text()


def test_an_import_of_the_table_is_without_jax():
    tree = ast.parse(Path(methods.__file__).read_text())
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(modules) == {"dataclasses", "crlscale.errors"}


@pytest.mark.parametrize("name", METHODS)
def test_the_page_tells_of_every_method(name):
    assert f"| `{name}` |" in PAGE
    assert METHODS[name].words


def test_fields_of_methods_are_config_fields_that_came_later():
    """And the page has a line for each."""
    for field in METHOD_FIELDS:
        assert RunConfig.model_fields[field].json_schema_extra == {"later": True}
        assert f"| `{field}` |" in PAGE
        assert readers(field) and all(field in find_method(name).reads for name in readers(field))


def test_the_page_counts_layers_as_the_plan_does():
    """Trunk layers of all critics at depth D, and the forward-equivalents of an update."""
    for name, method in METHODS.items():
        fixed = sum(network.layers or 0 for network in method.critic)
        layers = sum(n.copies * n.depth for n in method.critic if n.layers is None)
        row = next(
            line
            for line in PAGE.splitlines()
            if re.match(rf"\| `{name}`.* \| D", line) or re.match(rf"\| `\w+`, `{name}` \| D", line)
        )
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[3] == (f"{layers:g}D" if layers else "0") + (f" + {fixed}" if fixed else "")
        actor, *critics = re.findall(r"[\d.]+", cells[4])
        assert float(actor) == method.actor.passes
        assert sum(map(float, critics)) == sum(n.copies * n.passes for n in method.critic)


def test_a_method_is_one_file_and_one_line(tmp_path, monkeypatch):
    """What docs/methods.md shows, written down and trained by the real kernel; it clones what a
    policy did that always acts alike, and the plan knows what it costs."""
    from crlscale.train import make_trainer

    code, line = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "regression.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = line.replace("crlscale.agents.regression", "regression")
    parts = "from crlscale.methods import _POLICY, Method, Network\n"
    (tmp_path / "one_line.py").write_text(f"{parts}METHODS = {{\n{line}}}\n")
    monkeypatch.setitem(
        METHODS, "regression", importlib.import_module("one_line").METHODS["regression"]
    )

    config = RunConfig(
        env="chain_2",
        agent="regression",
        depth=2,
        width=16,
        batch_size=32,
        num_envs=8,
        unroll_length=10,
        prefill_steps=20,
        replay_capacity=100,
        eval_episodes=8,
        actor_learning_rate=3e-3,
        episode_length=20,
    )
    program, hyper = split(config)
    trainer = make_trainer(program, 1)
    state = trainer.init(jax.random.PRNGKey(0)[None])
    assert actor_parameters(config) == sum(x.size for x in jax.tree.leaves(state.agent.actor))
    assert critic_parameters(config) == 0 and update_flops(config) == 32 * 3 * 2 * 16 * (6 + 32 + 2)
    tally = trainer.start_tally(state)
    state, tally = trainer.epoch(hyper, state, tally, jnp.int32(2), jnp.int32(0))
    state, tally = trainer.epoch(hyper, state, tally, jnp.int32(1), jnp.int32(1))
    before = np.asarray(trainer.summary(state, tally)["actor_loss"])
    state, tally = trainer.epoch(hyper, state, trainer.start_tally(state), jnp.int32(1), jnp.int32(300))
    after = np.asarray(trainer.summary(state, tally)["actor_loss"])
    assert after[0] < before[0]
    assert trainer.evaluate(state, jax.random.PRNGKey(1)[None]).survival.shape == (1, 8)
    sys.modules.pop("regression"), sys.modules.pop("one_line")
