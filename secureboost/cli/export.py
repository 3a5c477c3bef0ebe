"""``secureboost export``: take a model out as an XGBoost file, with every party's consent."""

from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command


@command
def export(
    model: Annotated[
        Path, typer.Argument(help="Folder with label.json; with --recheck an exported file.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="JSON file to write; its test vectors go beside it.")
    ] = None,
    release: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="What a party has released; repeat for each party."),
    ] = [],  # noqa: B006 - typer copies it
    config: Annotated[
        Path | None,
        typer.Option(help="Your TOML file of `secureboost train`: releases must be signed then."),
    ] = None,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the configuration; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    include_cover: Annotated[
        bool, typer.Option("--include-cover", help="Give covers and gains too, for SHAP.")
    ] = False,
    category_names: Annotated[
        bool,
        typer.Option(
            "--category-names", help="Give the names of categories too (XGBoost 3.1, no treelite)."
        ),
    ] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Check an exported file with the vectors beside it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write a model as JSON that XGBoost, shap and treelite load.

    Every party must have released its half (`secureboost release`). Before anything is written,
    rows at the edge of every split are sent through the file; leaves must be equal and margins
    agree to single precision. Whoever gets the file has the whole model.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.predict import check_file
    from secureboost.config import load_train_config
    from secureboost.errors import ConfigError
    from secureboost.export import taking_out
    from secureboost.export.vectors import vectors_path
    from secureboost.run import load_model

    if recheck:
        readers = taking_out.recheck(model)
        stderr().print(f"{model} does what was exported, read by {' and '.join(readers)}.")
        return
    if out is None:
        raise ConfigError("name the file to write", "--out")
    check_file(out, force=force)
    loaded = None if config is None else load_train_config(config, settings)
    pins = {name: party.certificate for name, party in loaded.party.items()} if loaded else None
    taken_out = load_model(model).to_xgboost(
        release,
        include_cover=include_cover,
        category_names=category_names,
        certificates=pins,
        path=out,
    )
    stderr().print(
        f"{out} and {vectors_path(out).name} written, checked with "
        f"{' and '.join(taken_out.vectors.checked_with)}"
    )
