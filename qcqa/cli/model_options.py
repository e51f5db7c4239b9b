"""The arguments and options that say which model, and where and how it runs."""

from typing import Annotated

import typer

from qcqa.files.user_path import as_meant

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        parser=as_meant,
        help="Local folder, Hub id, or 'demo'.",
        show_default=False,
    ),
]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", help="Branch, tag or commit on the Hub.")
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1 …; auto is CUDA where there is one."),
]
ModelDtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype",
        help="Type in which the models run: auto, float32, bfloat16, float16. auto is the "
        "checkpoint's own, or float32 where this processor is slow in that.",
    ),
]
#: Of commands that take a run's model, or a model.
ModelInsteadArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        parser=as_meant,
        help="Local folder, Hub id, or 'demo'; instead of --run.",
        show_default=False,
    ),
]
