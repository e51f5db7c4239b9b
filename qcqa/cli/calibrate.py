"""``qcqa calibrate``: read a text with a model, once, for searches and conversions."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.model_options import DeviceOption, ModelArgument, RevisionOption
from qcqa.cli.output import JsonOption, console, fraction_bar, print_json
from qcqa.files.user_path import as_meant, user_path
from qcqa.search.method_seconds import CALIBRATION_TOKENS


def calibrate(
    model: ModelArgument,
    text: Annotated[
        str,
        typer.Option(
            "--text",
            parser=as_meant,
            metavar="FILE",
            help="A plain text file in UTF-8, or 'demo'; never the evaluation text.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=user_path,
            metavar="PATH",
            help="Folder to keep the calibration in.",
        ),
    ],
    tokens: Annotated[
        int, typer.Option("--tokens", min=256, help="Tokens to read, at most, evenly from all.")
    ] = CALIBRATION_TOKENS,
    device: DeviceOption = "auto",
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a text with a model and keep what merging, searching and refitting need of it.

    The folder can be given as `--calibration` to `qcqa search` in place of a text, so that several
    searches share one pass over it. For each layer it holds the second moment of the inputs and
    the inner products of the heads: 4.3 GB for Llama 2 7B.

    Examples
    --------
        qcqa calibrate ./Llama-2-7b-hf --text wiki.txt --tokens 65536 -o calibration

        qcqa search ./Llama-2-7b-hf --preset best --calibration calibration
    """
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.text.calibrate import calibrate_model

    with fraction_bar() as show:
        about = calibrate_model(
            model,
            text,
            out,
            revision=revision,
            max_tokens=tokens,
            device=device,
            on_layer=lambda layer, total: show("reading the text", layer / total),
        )
    if as_json:
        print_json({"folder": str(out), **asdict(about)})
    else:
        console.print(f"{out}: {about.num_tokens:,} tokens of {about.text}")
