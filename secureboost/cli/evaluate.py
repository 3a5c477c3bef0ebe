"""``secureboost evaluate``: how good scores are, fold by fold."""

from pathlib import Path
from typing import Annotated, Any

import typer

from secureboost.cli.app import command
from secureboost.cli.options import IdColumns, RegistryFile


@command
def evaluate(
    scores: Annotated[
        Path,
        typer.Argument(metavar="SCORES", help="Scores by id, such as run/scores.csv; or Parquet."),
    ],
    labels: Annotated[
        Path, typer.Option(metavar="FILE", help="Table with the outcomes, CSV or Parquet.")
    ],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="Its column with the label.")],
    row_id: IdColumns,
    score_id: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of SCORES with the row ids.")
    ] = "id",
    score: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="Column of SCORES with the scores; of a class COLUMN_<class>."
        ),
    ] = "score",
    fold: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this fold, such as test; all by default."),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="The class to predict, unless the label is 0/1."),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What was learnt, such as reg:gamma; two classes by default, and several where "
            "SCORES has a column for each.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    registry: RegistryFile = None,
) -> None:
    """Say how good scores are, for each fold: AUC, KS, Gini and more.

    Every scored row needs its label; labels without a score are left aside and counted. Where
    SCORES has no column `fold`, all rows are one fold.
    """
    from secureboost.cli.console import result_table, stderr, stdout
    from secureboost.cli.layout import print_json
    from secureboost.cli.recording import recorded
    from secureboost.party import data_digest
    from secureboost.quality import quality_table
    from secureboost.runs import Record
    from secureboost.scored import (
        check_labelled,
        choose_folds,
        column_of,
        measure_fold,
        objective_of,
        read_predictions,
        true_labels,
    )
    from secureboost.tables import read_table

    table = read_table(scores, score_id)
    learnt = objective_of(objective, table, score)
    predicted = read_predictions(table, score, learnt, scores.name)
    chosen = choose_folds(table, fold, scores.name)
    outcomes = read_table(labels, row_id)
    outcome = column_of(outcomes, target, "target", labels.name)
    check_labelled(table.index, chosen, outcomes.index, scores.name, labels.name)
    wanted = chosen.notna().to_numpy()
    y = true_labels(outcome.loc[table.index[wanted]], table, score, learnt, positive, labels.name)
    folds = chosen[wanted]
    record = Record(
        "evaluate",
        folder=str(scores.parent.resolve()),
        data={file.name: data_digest(read) for file, read in ((scores, table), (labels, outcomes))},
        parameters={"objective": learnt.name, "score": score, "fold": fold, "target": target},
        model_id=model_of(scores),
    )
    with recorded(registry, record):
        results = {
            str(name): measure_fold(
                learnt, y, predicted[wanted], (folds == name).to_numpy(), str(name)
            )
            for name in folds.unique()
        }
        record.metrics = {name: quality.as_json() for name, quality in results.items()}
    unscored = len(outcomes) - len(y)
    if json:
        print_json(
            {
                "folds": record.metrics,
                "rows_matched": len(y),
                "labels_without_score": unscored,
            }
        )
        return
    stderr().print(
        f"{len(y):,} scored rows matched with their labels by id; "
        f"{unscored:,} other rows of {labels.name} left aside"
    )
    stdout().print(result_table(*quality_table(results)))


def model_of(scores: Path) -> str | None:
    """The model of scores that lie in the folder of a run."""
    import msgspec

    from secureboost.run_folder import METRICS_FILE

    file = scores.parent / METRICS_FILE
    if not file.is_file():
        return None
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Any]).get("model_id")
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, str) else None
