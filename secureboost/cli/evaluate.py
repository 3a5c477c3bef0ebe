"""``secureboost evaluate``: how good scores are, fold by fold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from secureboost.metrics import Metrics


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
    row_id: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="Its column with the row ids.")
    ],
    score_id: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of SCORES with the row ids.")
    ] = "id",
    score: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of SCORES with the probabilities.")
    ] = "score",
    fold: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this fold, such as test; all by default."),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="The class to predict, unless the label is 0/1."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Compute AUC, KS, Gini, log-loss and Brier of scores, for each fold.

    Every scored row needs its label; labels without a score are left aside and counted. Where
    SCORES has no column `fold`, all rows are one fold.
    """
    from dataclasses import asdict

    from secureboost.cli.console import result_table, stderr, stdout
    from secureboost.cli.layout import print_json
    from secureboost.data import encode_labels
    from secureboost.tables import read_table

    table = read_table(scores, score_id)
    probabilities = _probabilities(table, score, scores.name)
    chosen = _folds(table, fold, scores.name)
    outcomes = read_table(labels, row_id)
    outcome = _column(outcomes, target, "target", labels.name)
    _check_labelled(table.index, chosen, outcomes.index, scores.name, labels.name)
    probabilities, chosen = probabilities[chosen.notna()], chosen.dropna()
    y = encode_labels(outcome.loc[chosen.index], positive, labels.name)
    results = {
        str(name): _metrics(y, probabilities, (chosen == name).to_numpy(), str(name))
        for name in chosen.unique()
    }
    unscored = len(outcomes) - len(y)
    if json:
        print_json(
            {
                "folds": {name: asdict(metrics) for name, metrics in results.items()},
                "rows_matched": len(y),
                "labels_without_score": unscored,
            }
        )
        return
    stderr().print(
        f"{len(y):,} scored rows matched with their labels by id; "
        f"{unscored:,} other rows of {labels.name} left aside"
    )
    rows = [(name, m.rows, m.auc, m.ks, m.gini, m.log_loss, m.brier) for name, m in results.items()]
    stdout().print(result_table(("fold", "rows", "AUC", "KS", "Gini", "log-loss", "Brier"), rows))


def _probabilities(table: "pd.DataFrame", column: str, file: str) -> "NDArray[np.float64]":
    import numpy as np
    import pandas as pd

    from secureboost.data import positions_text
    from secureboost.errors import DataError

    values = _column(table, column, "score", file)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise DataError(f"{file}: column {column!r} is not numbers; name the scores with --score.")
    scores = values.to_numpy(dtype=np.float64, na_value=np.nan)
    for bad, what in (
        (np.isnan(scores), "is missing"),
        ((scores < 0) | (scores > 1), "is outside [0, 1]"),
    ):
        if bad.any():
            raise DataError(
                f"{file}: {column!r} {what} in {positions_text(bad)}. It must be the probability "
                "of the class to predict."
            )
    return np.asarray(scores)


def _folds(table: "pd.DataFrame", wanted: str | None, file: str) -> "pd.Series[Any]":
    """Return each row's fold as text, missing where another one was asked for."""
    import numpy as np
    import pandas as pd

    from secureboost.data import positions_text
    from secureboost.errors import DataError, did_you_mean

    if "fold" not in table.columns:
        if wanted is not None:
            raise DataError(
                f"{file}: there is no column 'fold', so --fold {wanted} cannot be chosen. Leave "
                "--fold out."
            )
        return pd.Series("all", index=table.index)
    missing = np.asarray(table["fold"].isna(), dtype=bool)
    if missing.any():
        raise DataError(f"{file}: 'fold' is missing in {positions_text(missing)}. Fill it in.")
    folds = table["fold"].astype(str)
    if wanted is None:
        return folds
    present = [str(name) for name in folds.unique()]
    if wanted not in present:
        raise DataError(
            f"{file}: there is no fold {wanted!r}.{did_you_mean(wanted, present)} "
            f"The folds are: {', '.join(present)}."
        )
    return folds.where(folds == wanted)


def _check_labelled(
    ids: "pd.Index", folds: "pd.Series[Any]", labelled: "pd.Index", scores: str, labels: str
) -> None:
    """Refuse scored rows of the wanted folds that have no label."""
    import numpy as np

    from secureboost.data import positions_text
    from secureboost.errors import DataError

    absent = np.asarray(folds.notna()) & ~ids.isin(labelled)
    if absent.any():
        raise DataError(
            f"{labels}: it has no label for {positions_text(absent)} of {scores}. Compare how both "
            "files write ids (leading zeros, spaces, upper and lower case), or score only rows "
            "with a known outcome."
        )


def _metrics(
    y: "NDArray[np.uint8]", p: "NDArray[np.float64]", rows: "NDArray[np.bool_]", fold: str
) -> "Metrics":
    from secureboost.errors import DataError
    from secureboost.metrics import evaluate as compute

    try:
        return compute(y[rows], p[rows])
    except DataError as error:
        raise DataError(f"fold {fold!r}: {error}") from error


def _column(table: "pd.DataFrame", name: str, role: str, file: str) -> "pd.Series[Any]":
    from secureboost.errors import DataError, did_you_mean

    present = [str(column) for column in table.columns]
    if name not in present:
        raise DataError(
            f"{file}: there is no {role} column {name!r}.{did_you_mean(name, present)} "
            f"The columns are: {', '.join(present)}."
        )
    return table[name]
