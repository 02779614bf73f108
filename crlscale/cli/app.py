"""The command line: one Typer app, one file a verb."""

import os
import sys
from itertools import takewhile

import typer

from crlscale import __version__
from crlscale.cli import (
    analyze,
    bench,
    compare,
    envs,
    export,
    plan,
    plot,
    report,
    run,
    runs,
    status,
    sweep,
)
from crlscale.cli.console import report_error
from crlscale.errors import CrlscaleError

app = typer.Typer(
    name="crlscale",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="How deep, how wide, how large a batch? A laboratory for goal-reaching RL.",
    epilog="Example: crlscale sweep depth --min 2 --max 64",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"crlscale {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version."
    ),
) -> None:
    pass


app.add_typer(sweep.app, name="sweep")
app.command("plan")(plan.plan)
app.add_typer(plot.app, name="plot")
app.add_typer(compare.app, name="compare")
app.add_typer(analyze.app, name="analyze")
app.command("report")(report.report)
app.command("status")(status.status)
app.add_typer(runs.app, name="runs")
app.command("run")(run.run)
app.command("export")(export.export)
app.command("envs")(envs.envs)
app.command("bench")(bench.bench)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        code = app(arguments, standalone_mode=False, prog_name="crlscale")
    except CrlscaleError as error:
        report_error(error, as_json)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        usage = getattr(error, "format_message", None)  # typer's own: a flag or value it refuses
        if usage is None:
            raise
        if usage():  # a command without arguments has shown its help
            report_error(CrlscaleError(usage().rstrip("."), remedy=_help_of(error, arguments)), as_json)
        sys.exit(2)
    sys.exit(code or 0)


def _help_of(error: Exception, arguments: list[str]) -> str:
    context = getattr(error, "ctx", None)
    words = takewhile(lambda argument: not argument.startswith("-"), arguments[:2])
    command = context.command_path if context else " ".join(["crlscale", *words])
    return f"`{command} --help`"
