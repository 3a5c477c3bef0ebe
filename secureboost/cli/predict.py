"""``secureboost predict``: score rows with a trained model."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    import pandas as pd

Unmatched = Literal["error", "missing", "drop"]


@command
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of the model, as train wrote it.")],
    data: Annotated[
        Path | None, typer.Option(help="The rows to score; by default the configuration's file.")
    ] = None,
    row_id: Annotated[
        list[str],
        typer.Option(
            "--id",
            help="Its id column, by default the configuration's; repeat if several are one id.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    party: Annotated[
        list[str], typer.Option(help="NAME=FILE of a party's table on this machine; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    config: Annotated[
        Path | None, typer.Option(help="The label party's TOML file, to ask other companies.")
    ] = None,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the configuration; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    unmatched: Annotated[
        Unmatched,
        typer.Option(
            help="Rows that a party does not have: an error, scored with all of its columns "
            "missing, or left out."
        ),
    ] = "error",
    without: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="A party that is not asked, since it is down, say; repeat. For networks that were "
            "trained with party_dropout.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write: id, fold, score (one for each class). Default: stdout."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Score rows: with tables on this machine (--party) or with other companies (--config).

    Other companies need not hold the same rows: the common ones are found first, as `secureboost
    align` does. Each time that counts as an alignment of these rows at their side.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.scoring import common_rows, open_parties
    from secureboost.config import load_train_config
    from secureboost.config_align import LabelAlign
    from secureboost.errors import ConfigError
    from secureboost.keyed_table import read_keyed_table
    from secureboost.kinds import kind_of
    from secureboost.run import load_model, predictions
    from secureboost.run_folder import score_table, write_scores

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
    if unmatched == "missing":  # before rows are aligned
        estimator.label_half_.check_unmatched()
    how = loaded.align if loaded else LabelAlign()
    keyed = read_keyed_table(file, id_column, how)
    wanted = list(estimator.label_half_.feature_names)
    choose_columns(keyed.frame, wanted, str(file))
    with open_parties(party, loaded, id_column) as everybody:
        parties = [party for party in everybody if party.name not in without]
        rows = common_rows(keyed, parties, how, unmatched, new_rows=data is not None)
        X = rows[wanted]
        missing: Literal["error", "missing"] = "missing" if unmatched == "missing" else "error"
        scores = predictions(estimator, X, parties=parties, unmatched=missing, without=without)
    scored = score_table(X.index, "new", scores, kind_of(estimator).score_names(estimator))
    if out is None:
        typer.echo(scored.to_csv(index=False), nl=False)
    else:
        write_scores(out, scored)
        stderr().print(f"{len(scores):,} rows scored: {out}")


def check_file(out: Path, *, force: bool | None, option: str = "--out") -> None:
    """Check that a file can be written, before any work.

    Parameters
    ----------
    out : Path
    force : bool or None
        Whether it may be replaced; None: the command has no --force.
    option : str
        Where it was named, for messages.

    Raises
    ------
    ConfigError
    """
    from secureboost.errors import ConfigError

    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file in it", option)
    if out.exists() and not force:
        or_replace = "" if force is None else ", or --force to replace it"
        raise ConfigError(f"{out} exists; name another file{or_replace}", option)
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{out.parent} is no folder that can be written into", option)


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
