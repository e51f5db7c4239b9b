"""The ``qcqa`` command: its subcommands, and how errors leave it."""

import errno
import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import typer

from qcqa.cli import (
    app,
    calibrate,
    capacity,
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    generate,
    groups,
    inspect,
    plan,
    runs,
    search,
    sensitivity,
    worker,
)
from qcqa.cli.output import drop_unprinted, print_in_any_encoding
from qcqa.errors import QCQAError

#: What a system says of a place that takes no more.
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO}

cli = typer.Typer(
    name="qcqa",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.command("inspect")(inspect.inspect)
cli.command("search")(search.search)
cli.command("calibrate")(calibrate.calibrate)
cli.command("plan")(plan.plan)
cli.command("groups")(groups.groups)
cli.command("capacity")(capacity.capacity)
cli.command("convert")(convert.convert)
cli.command("evaluate")(evaluate.evaluate)
cli.command("sensitivity")(sensitivity.sensitivity)
cli.command("generate")(generate.generate)
cli.command("compare")(compare.compare)
cli.command("demo")(demo.demo)
cli.command("doctor")(doctor.doctor)
cli.command("app")(app.app)
cli.command("worker", hidden=True)(worker.worker)
cli.add_typer(export.cli, name="export")
cli.add_typer(runs.cli, name="runs")


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"qcqa {version('qcqa-explorer')}")
        raise typer.Exit


@cli.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Say which release this is."
        ),
    ] = False,
) -> None:
    """Search which attention heads of a model should share one key/value head."""


def main() -> None:
    """Run the command; a user's error is one line on standard error and exit code 2."""
    print_in_any_encoding()
    # One bar is enough: ours tells how far the whole is.
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Its retries without a network would bury the one line that says so.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        code = cli(standalone_mode=False)
        # What does not get out is told below.
        sys.stdout.flush()
    except QCQAError as error:
        _fail(error.one_line())
    except typer.TyperException as error:
        _fail(error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ImportError as error:
        _fail(f"{error}; qcqa doctor says what is installed and what is supported")
    except BrokenPipeError:
        # The reader of our output, such as head, has seen enough.
        drop_unprinted()
        sys.exit(1)
    except OSError as error:
        # A full disk, or a folder that may not be written to; other errors escape, as bugs do.
        drop_unprinted()
        if error.filename is None and error.errno not in _NO_ROOM:
            raise
        _fail(f"{error.filename or 'the output'} cannot be used ({error.strerror})")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    # A call without a command has been answered with help, and there is nothing to add.
    if message:
        with suppress(OSError):
            print(f"qcqa: {' '.join(message.split())}", file=sys.stderr, flush=True)
    sys.exit(2)
