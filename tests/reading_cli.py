"""Runs the real command line in this process, for the tests of its reading half."""

import json

import pytest

from crlscale.cli.app import main


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `crlscale ARGUMENTS`."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def run_json(capsys, *arguments: str) -> dict:
    """The object that `crlscale ARGUMENTS --json` prints; it must succeed and say nothing else."""
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)
