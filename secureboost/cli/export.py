"""``secureboost export``: trees as an XGBoost file, by every party's consent; networks as ONNX."""

from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command


@command
def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="Folder with label.json or label.safetensors; with --recheck an exported file; a "
            "feature party's half of a network, a .safetensors file."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="JSON file to write, its test vectors go beside it; of a network a folder."
        ),
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
    weights: Annotated[
        bool, typer.Option("--weights", help="Of a network the weights for torch, not ONNX.")
    ] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Check an exported file with the vectors beside it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write trees as JSON that XGBoost, shap and treelite load, or a half of a network as ONNX.

    Of a network each party writes its own half, with the preparation of its columns, checked in
    onnxruntime. Of trees, every party must have released its half (`secureboost release`). Before
    anything is written, rows at the edge of every split are sent through the file; leaves must be
    equal and margins agree to single precision. Whoever gets the file has the whole model.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.predict import check_file
    from secureboost.config import load_train_config
    from secureboost.errors import ConfigError
    from secureboost.export import taking_out
    from secureboost.export.vectors import vectors_path
    from secureboost.run import load_model
    from secureboost.trainers import NET_TRAINER

    if recheck:
        readers = taking_out.recheck(model)
        stderr().print(f"{model} does what was exported, read by {' and '.join(readers)}.")
        return
    if out is None:
        raise ConfigError("name the file to write", "--out")
    half = model if model.is_file() else model / NET_TRAINER.label_file
    if half.suffix == Path(NET_TRAINER.label_file).suffix and half.exists():
        for path in export_net(half, out, weights=weights, force=force):
            stderr().print(f"{path} written")
        return
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


def export_net(half: Path, folder: Path, *, weights: bool, force: bool) -> list[Path]:
    """Write a half of a network, as ONNX or its weights for torch; the files.

    Raises
    ------
    ConfigError
        If the folder holds something and `force` is not set.
    secureboost.splitnn.onnx_graph.ExportError
    """
    from secureboost.errors import ConfigError
    from secureboost.splitnn.errors import needing_torch

    with needing_torch():
        from secureboost.splitnn.export import write_onnx, write_torch
        from secureboost.splitnn.model import read_half
    if folder.exists() and not (folder.is_dir() and (force or not any(folder.iterdir()))):
        raise ConfigError(f"{folder} holds something; give another folder, or --force", "--out")
    return (write_torch if weights else write_onnx)(read_half(half), folder)
