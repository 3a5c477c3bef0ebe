"""``secureboost sides`` and ``secureboost score``: scoring through files, without a connection."""

from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command


@command
def sides(
    bundle: Annotated[
        Path, typer.Argument(help="Folder of `secureboost bundle`, or the file of a half.")
    ],
    data: Annotated[Path, typer.Option(help="The rows to score, CSV or Parquet.")],
    row_id: Annotated[str, typer.Option("--id", help="Its id column.")],
    out: Annotated[Path, typer.Option(help="File to write, such as bureau.sides.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Compute for rows of your table on which side of each of your splits they lie.

    A feature party's part of offline scoring. The file tells the label party the ids of the rows
    and, for each row, one bit for every split: between which cuts each of your columns lies, as an
    answer of `secureboost serve` does, but outside of its budget. Thresholds, names and values
    stay here.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.predict import check_file
    from secureboost.export.bundle import read_bundle
    from secureboost.export.sides import compute_sides, write_sides
    from secureboost.tables import read_table

    check_file(out, force=force)
    half = read_bundle(bundle)
    table = read_table(data, row_id)
    write_sides(compute_sides(half, table, data.name), out)
    stderr().print(f"{out} written: {len(table):,} rows, {len(half.splits):,} splits")


@command
def score(
    model: Annotated[Path, typer.Argument(help="Folder with label.json, as train wrote it.")],
    data: Annotated[Path, typer.Option(help="The rows to score, CSV or Parquet.")],
    row_id: Annotated[str, typer.Option("--id", help="Its id column.")],
    side: Annotated[
        list[Path],
        typer.Option("--sides", metavar="FILE", help="A party's file of sides; repeat for each."),
    ] = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write: id, fold, score (one for each class). Default: stdout."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Score rows with files of sides that the parties have sent: the scores of `predict`.

    The label party's part of offline scoring. Rows are joined by id; each party's file must hold
    all rows of --data and may hold others. It reveals nothing to anybody.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.predict import check_file, choose_columns
    from secureboost.errors import ConfigError
    from secureboost.export.sides import check_sides, read_sides
    from secureboost.export.sides_party import SidesParty
    from secureboost.kinds import trainer_in
    from secureboost.run import load_model, predictions
    from secureboost.run_folder import score_table, write_scores
    from secureboost.tables import read_table
    from secureboost.trainers import GBDT_TRAINER

    if out is not None:
        check_file(out, force=force)
    if trainer_in(model) is not GBDT_TRAINER:
        raise ConfigError(
            f"{model} holds a network, which has no sides; it is scored with its parties connected "
            "(secureboost predict)"
        )
    estimator = load_model(model)
    half = estimator.label_half_
    parties = []
    for file in side:
        read = read_sides(file)
        check_sides(read, half, file.name)
        parties.append(SidesParty(read))
    table = read_table(data, row_id)
    X = choose_columns(table, list(half.feature_names), str(data))
    scores = predictions(estimator, X, parties=parties)
    scored = score_table(X.index, "new", scores, half.classes if scores.ndim == 2 else ())
    if out is None:
        typer.echo(scored.to_csv(index=False), nl=False)
    else:
        write_scores(out, scored)
        stderr().print(f"{len(scores):,} rows scored: {out}")
