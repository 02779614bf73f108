"""Options of the launchers: what they become, and what is refused in one line."""

import pytest
from reading_cli import run

from crlscale.cli.launch_options import launching
from crlscale.launch.contract import LaunchOptions

LINE = ("sweep", "depth", "--levels", "4", "--preset", "smoke")


def test_defaults_are_this_machine():
    assert launching() == LaunchOptions()


def test_sizes_and_times_as_people_write_them():
    how = launching("slurm", mem="1.5G", time="2d", slurm=["--account=lab", "exclusive=true"], gpus=1)
    assert (how.memory, how.minutes, how.gpus) == (1.5e9, 2880, 1)
    assert how.slurm == {"account": "lab", "exclusive": "true"}
    assert launching("slurm", no_wait=True).wait is False
    assert launching("ray", mem="500MB").memory == 5e8
    assert launching("slurm", jobs="7", time="4h").minutes == 240


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--launcher", "pbs"), "there are local, slurm, ray"),
        (("--mem", "1G"), "--mem means nothing to --launcher local; try: --launcher slurm"),
        (("--launcher", "ray", "--partition", "x"), "--partition means nothing to --launcher ray"),
        (("--launcher", "slurm", "--mem", "lots"), "--mem lots: not a size; try: --mem 8G"),
        (("--launcher", "slurm", "--time", "60"), "--time 60: not a span of time; try: --time 30m"),
        (("--launcher", "slurm", "--slurm", "exclusive"), "not key=value; try: --slurm account=mine"),
        (("--retries", "-1"), "--retries -1: 0 or more"),
    ],
)
def test_options_that_mean_nothing_are_refused(results, capsys, options, words):
    code, out, err = run(capsys, *LINE, *options)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert words in err
    assert list(results.iterdir()) == []
