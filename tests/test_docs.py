"""The generated pages are those that the code would write, and every command says what it must."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crlscale.cli.app import app
from crlscale.cli.settings import parse_settings
from crlscale.config import RunConfig

ROOT = Path(__file__).parent.parent


def commands(command, words="crlscale"):
    """(words, command) of the root of the command line and of all below it."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{words} {name}")


ALL = dict(commands(typer.main.get_command(app)))
LEAVES = {words: command for words, command in ALL.items() if not hasattr(command, "commands")}


def test_pages_are_fresh():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_stale_page_is_noticed(tmp_path):
    (tmp_path / "generate.py").write_text((ROOT / "docs" / "generate.py").read_text())
    generate = [sys.executable, tmp_path / "generate.py"]
    assert subprocess.run(generate, capture_output=True).returncode == 0
    for name in ("cli.md", "columns.md", "settings.md"):
        page = (tmp_path / name).read_text()
        assert page == (ROOT / "docs" / name).read_text()
        (tmp_path / name).write_text(page + "more\n")
    done = subprocess.run([*generate, "--check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "docs/columns.md, docs/settings.md, docs/cli.md: stale" in done.stderr


def test_the_page_of_settings_has_every_field_as_one_types_it():
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    fields = sorted(f"| `{field}`" for field in RunConfig.model_fields)
    assert sorted(row[0] for row in rows) == fields
    typed = {row[0][3:-1]: row[2].strip("`") for row in rows}
    for field, default in typed.items():
        assert parse_settings([f"{field}={default}"])[field] == RunConfig.model_fields[field].default


def test_the_verbs_of_the_readme_are_there():
    wanted = {"sweep depth", "sweep width", "sweep batch", "sweep grid", "sweep file", "status", "run"}
    wanted |= {f"analyze {question}" for question in ("batch", "actor-critic", "limits", "surface")}
    wanted |= {f"compare {what}" for what in ("studies", "methods", "paper", "observation-size")}
    wanted |= {"envs", "plot critical-depth", "plot learning-curves", "compare width-vs-depth"}
    assert {f"crlscale {words}" for words in wanted} <= LEAVES.keys()


@pytest.mark.parametrize("words", ALL)
def test_command_has_help(words):
    assert (ALL[words].help or "").strip()


@pytest.mark.parametrize("words", LEAVES)
def test_command_shows_an_example_of_itself(words):
    command = LEAVES[words]
    text = f"{command.help}\n{command.epilog}"
    assert f"Example: {words}" in text.replace("Examples:", "Example:").replace("\n", " ")


@pytest.mark.parametrize("words", LEAVES)
def test_command_speaks_json(words):
    assert any("--json" in parameter.opts for parameter in LEAVES[words].params)


@pytest.mark.parametrize("words", ALL)
def test_each_option_says_what_it_does(words):
    options = [p for p in ALL[words].params if p.param_type_name == "option" and not p.hidden]
    assert [option.name for option in options if not option.help] == []
