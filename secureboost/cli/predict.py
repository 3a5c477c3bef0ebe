"""``secureboost predict``: score rows with a trained model."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    import pandas as pd

    from secureboost.config import TrainConfig
    from secureboost.party import Party


@command
def predict(
    model: Annotated[Path, typer.Argument(help="Folder with label.json, as train wrote it.")],
    data: Annotated[
        Path | None, typer.Option(help="The rows to score; by default the configuration's file.")
    ] = None,
    row_id: Annotated[
        str | None, typer.Option("--id", help="Its id column; by default the configuration's.")
    ] = None,
    party: Annotated[
        list[str], typer.Option(help="NAME=FILE of a party's table on this machine; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    config: Annotated[
        Path | None, typer.Option(help="The label party's TOML file, to ask other companies.")
    ] = None,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the configuration; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write: id, fold, score (one for each class). Default: stdout."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Score rows: with tables on this machine (--party) or with other companies (--config)."""
    from secureboost.cli.console import stderr
    from secureboost.config import load_train_config
    from secureboost.errors import ConfigError
    from secureboost.run import load_model, predictions
    from secureboost.run_folder import score_table, write_scores
    from secureboost.tables import read_table

    if config is not None and party:
        raise ConfigError("give --party for tables here or --config for other companies, not both")
    if out is not None:
        check_file(out, force=force)
    loaded = load_train_config(config, settings) if config is not None else None
    file = data or (loaded.data.file if loaded else None)
    id_column = row_id or (loaded.data.id if loaded else None)
    if file is None or id_column is None:
        raise ConfigError("name the rows to score: --data FILE and --id COLUMN, or --config")
    estimator = load_model(model)
    table = read_table(file, id_column)
    wanted = list(estimator.label_half_.feature_names)
    X = choose_columns(table, wanted, str(file))
    with open_parties(party, loaded, id_column, X.index) as parties:
        scores = predictions(estimator, X, parties=parties)
    classes = estimator.label_half_.classes if scores.ndim == 2 else ()
    scored = score_table(X.index, "new", scores, classes)
    if out is None:
        typer.echo(scored.to_csv(index=False), nl=False)
    else:
        write_scores(out, scored)
        stderr().print(f"{len(scores):,} rows scored: {out}")


def check_file(out: Path, *, force: bool) -> None:
    """Check that a file can be written, before any work.

    Raises
    ------
    ConfigError
    """
    from secureboost.errors import ConfigError

    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file in it", "--out")
    if out.exists() and not force:
        raise ConfigError(f"{out} exists; name another file, or --force to replace it", "--out")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{out.parent} is no folder that can be written into", "--out")


def choose_columns(table: "pd.DataFrame", wanted: list[str], file: str) -> "pd.DataFrame":
    """Take the model's columns out of a table that may hold more.

    Raises
    ------
    DataError
        If one is missing.
    """
    from secureboost.errors import DataError, did_you_mean

    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise DataError(
            f"{file}: the model needs columns that are not there: {', '.join(map(repr, missing))}."
            f"{did_you_mean(missing[0], map(str, table.columns))}"
        )
    return table[wanted]


@contextlib.contextmanager
def open_parties(
    options: list[str], config: "TrainConfig | None", id_column: str, ids: "pd.Index"
) -> Iterator[list["Party"]]:
    """Tables on this machine as parties, or the companies of a configuration."""
    from secureboost.cli.simulate import parse_parties
    from secureboost.cli.train import remote_parties
    from secureboost.party import FeatureParty
    from secureboost.tables import read_table

    if config is not None:
        with remote_parties(config, ids) as parties:
            yield list(parties)
        return
    yield [
        FeatureParty(name, read_table(file, id_column))
        for name, file in parse_parties(options).items()
    ]
