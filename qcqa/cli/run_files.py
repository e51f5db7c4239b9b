"""``qcqa runs``: the commands that name, compare and share runs."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.charts.jobs.run_settings import compare_settings, setting_text
from qcqa.cli.jobs import RunArgument, name_of
from qcqa.cli.output import JsonOption, console, print_json, print_table
from qcqa.errors import RunError
from qcqa.files.user_path import is_folder, user_path
from qcqa.jobs import archive, loading, store
from qcqa.sizes import bytes_text


def rename(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Give a run another name; its id stays.

    Example:

        qcqa runs rename 20260131 "Llama, 300 generations"
    """
    renamed = store.rename_run(store.find_run(run), name)
    if as_json:
        print_json({"run": renamed.id, "name": renamed.name})
    else:
        console.print(f"{renamed.id} is now called {renamed.name!r}.", markup=False)


def note(
    run: RunArgument,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The note; empty for none.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Replace the note of a run.

    Example:

        qcqa runs note 20260131 "The one in the paper's table 2."
    """
    noted = store.annotate_run(store.find_run(run), text)
    if as_json:
        print_json({"run": noted.id, "note": noted.note})
    else:
        console.print(f"{noted.id} has {'a' if noted.note else 'no'} note now.")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Two runs or more: directories, ids, or beginnings of ids.",
            show_default=False,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show the settings in which runs differ, and nothing else.

    Example:

        qcqa runs compare 20260131 20260202
    """
    found = [store.find_run(run) for run in runs]
    table = compare_settings(found)
    if as_json:
        print_json(table.to_dict(orient="index"))
    elif table.empty:
        console.print("They were asked the same of the same model.")
    else:
        titles = [f"{run.name}\n{column}" for run, column in zip(found, table, strict=True)]
        print_table(
            [
                {"": str(setting), **dict(zip(titles, map(setting_text, row), strict=True))}
                for setting, row in zip(table.index, table.to_numpy(), strict=True)
            ]
        )


def pack(
    run: RunArgument,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=user_path,
            metavar="PATH",
            help="Zip file to write.",
            show_default=False,
        ),
    ],
    with_calibration: Annotated[
        bool,
        typer.Option(
            "--with-calibration",
            help="Take the calibration along: it may be large, and is made again from its text.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a search with its evaluations and figures into a zip file, to be shared.

    Example:

        qcqa runs pack 20260131 -o llama.zip
    """
    if is_folder(out) is not None:
        raise RunError(f"{out} exists", expected="a new file", remedy="choose another name")
    found = store.find_run(run)
    archive.pack_run(found, out, with_calibration=with_calibration)
    size = out.stat().st_size
    if as_json:
        print_json({"run": found.id, "file": str(out), "bytes": size})
    else:
        console.print(f"Packed {found.id} into {out} ({bytes_text(size)}).")


def load(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            parser=user_path,
            help="Zip of a run, or a run directory.",
            show_default=False,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Take a copy of a run, such as a colleague's, among your own.

    Example:

        qcqa runs load llama.zip
    """
    loaded = loading.load_run(source)
    if as_json:
        print_json({"run": loaded.id, "folder": str(loaded.folder)})
    else:
        console.print(f"Loaded {loaded.id}. Look at it with: qcqa runs show {name_of(loaded)}")
