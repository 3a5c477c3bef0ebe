"""Options that several commands have."""

from typing import Annotated

import typer

IdColumns = Annotated[
    list[str],
    typer.Option(
        "--id", metavar="COLUMN", help="The id column; repeat if several are one id together."
    ),
]

TrainerName = Annotated[
    str | None,
    typer.Option(
        "--trainer",
        metavar="NAME",
        help="secureboost (trees) or splitnn (a neural network), over the configuration.",
    ),
]

RegistryFile = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="File in which runs are recorded, or 'off'. Default: SECUREBOOST_RUNS, or "
        "secureboost-runs.db in this folder.",
    ),
]
