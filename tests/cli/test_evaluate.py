import json

import numpy as np
import pandas as pd
import pytest
from support.cli import run

from secureboost.metrics import evaluate as metrics


@pytest.fixture
def tables(tmp_path):
    """40 scored rows in two folds, and the labels of 50, in another order."""
    rng = np.random.default_rng(5)
    ids = [f"{i:04d}" for i in range(50)]
    p = rng.random(50)
    y = (rng.random(50) < p).astype(int)
    lender = pd.DataFrame({"customer": ids, "default": y, "word": np.where(y, "bad", "good")})
    scores = pd.DataFrame(
        {"id": ids, "fold": np.where(np.arange(50) < 25, "train", "test"), "score": p}
    )[:40]
    lender[::-1].to_csv(tmp_path / "lender.csv", index=False)
    scores.to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path, scores, y[:40]


def evaluate(folder, *options, scores="scores.csv", target="default", row_id="customer"):
    labels = folder / "lender.csv"
    given = ("--labels", labels, "--target", target, "--id", row_id, *options)
    return run("evaluate", folder / scores, *given, COLUMNS="400")


def test_metrics_by_fold(tables):
    folder, scores, y = tables
    result = evaluate(folder)
    assert result.exit_code == 0, result.stderr
    assert "40 scored rows matched with their labels by id; 10 other rows" in result.stderr
    for fold in ("train", "test"):
        rows = (scores["fold"] == fold).to_numpy()
        expected = metrics(y[rows], scores["score"][rows])
        (line,) = [
            line.split() for line in result.stdout.splitlines() if line.split()[:1] == [fold]
        ]
        assert line[1] == str(rows.sum())
        assert line[2:] == [
            f"{value:.4f}"
            for value in (
                expected.auc,
                expected.ks,
                expected.gini,
                expected.log_loss,
                expected.brier,
            )
        ]


def test_json_has_every_digit(tables):
    folder, scores, y = tables
    result = evaluate(folder, "--fold", "test", "--json")
    listing = json.loads(result.stdout)
    rows = (scores["fold"] == "test").to_numpy()
    assert list(listing["folds"]) == ["test"]
    assert listing["folds"]["test"]["auc"] == metrics(y[rows], scores["score"][rows]).auc
    assert listing["rows_matched"] == 15
    assert listing["labels_without_score"] == 35


def test_another_class_and_other_columns(tables):
    folder, scores, y = tables
    own = scores.drop(columns="fold").rename(columns={"id": "nr", "score": "pd"})
    own.to_parquet(folder / "own.parquet")
    options = ("--positive", "bad", "--score", "pd", "--score-id", "nr", "--json")
    result = evaluate(folder, *options, scores="own.parquet", target="word")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["folds"]["all"]["auc"] == metrics(y, scores["score"]).auc


def test_scores_of_several_classes(tables):
    folder, scores, _ = tables
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 40)
    grades = np.array(["A", "B", "C"])[[rng.choice(3, p=row) for row in p]]
    of_classes = scores.drop(columns="score").assign(
        **{f"score_{name}": p[:, k] for k, name in enumerate("ABC")}
    )
    of_classes.to_csv(folder / "scores.csv", index=False)
    lender = pd.read_csv(folder / "lender.csv", dtype={"customer": str}).set_index("customer")
    lender["grade"] = pd.Series(grades, index=scores["id"]).reindex(lender.index).fillna("A")
    lender.to_csv(folder / "lender.csv")
    listing = json.loads(evaluate(folder, "--json", target="grade").stdout)
    train = (scores["fold"] == "train").to_numpy()
    right = p.argmax(axis=1) == np.searchsorted(["A", "B", "C"], grades)
    assert listing["folds"]["train"]["accuracy"] == pytest.approx(right[train].mean())
    lender["grade"] = "D"
    lender.iloc[::2, lender.columns.get_loc("grade")] = "A"
    lender.to_csv(folder / "lender.csv")
    result = evaluate(folder, target="grade")
    assert result.exit_code == 4
    assert "the label is a class without a column of scores in 20 rows" in result.stderr


def test_predicted_numbers(tables):
    folder, scores, _ = tables
    lender = pd.read_csv(folder / "lender.csv", dtype={"customer": str}).set_index("customer")
    lender["loss"] = scores.set_index("id")["score"].reindex(lender.index).fillna(0.5) + 0.25
    lender.to_csv(folder / "lender.csv")
    options = ("--objective", "reg:gamma")
    listing = json.loads(evaluate(folder, *options, "--json", target="loss").stdout)
    assert listing["folds"]["test"]["mae"] == pytest.approx(0.25)
    assert "gamma-deviance" in evaluate(folder, *options, target="loss").stdout
    for change, message in ((-1.0, "'score' is not above 0 in 1 row"), (np.inf, "is infinite in")):
        scores.loc[3, "score"] = change
        scores.to_csv(folder / "scores.csv", index=False)
        result = evaluate(folder, *options, target="loss")
        assert (result.exit_code, message in result.stderr) == (4, True)
    result = evaluate(folder, "--objective", "reg:gama", target="loss")
    assert (result.exit_code, "Did you mean 'reg:gamma'?" in result.stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "defualt"}, "no target column 'defualt'. Did you mean 'default'?"),
        ({"row_id": "custmer"}, "no id column 'custmer'. Did you mean 'customer'?"),
        ({"scores": "nix.csv"}, "nix.csv: there is no such file"),
        ({"target": "word"}, "the label has two classes but they are not 0 and 1"),
        ({"target": "customer"}, "no target column 'customer'"),
    ],
)
def test_bad_tables(tables, arguments, message):
    result = evaluate(tables[0], **arguments)
    assert result.exit_code == 4
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--score", "scoer"), "no score column 'scoer'. Did you mean 'score'?"),
        (("--score-id", "ids"), "no id column 'ids'. Did you mean 'id'?"),
        (("--score", "fold"), "column 'fold' is not numbers; name the scores with --score"),
        (("--fold", "tset"), "no fold 'tset'. Did you mean 'test'? The folds are: train, test."),
        (("--positive", "7"), "positive='7' is neither of the label's two classes"),
    ],
)
def test_bad_options(tables, options, message):
    result = evaluate(tables[0], *options)
    assert result.exit_code == 4
    assert message in result.stderr


def outside(scores, y):
    scores.loc[3, "score"] = 1.25
    return scores


def missing(scores, y):
    scores.loc[[3, 5], "score"] = np.nan
    return scores


def unknown_ids(scores, y):
    scores.loc[[3, 5], "id"] = ["secret-1", "secret-2"]
    return scores


def twice(scores, y):
    scores.loc[3, "id"] = scores.loc[5, "id"]
    return scores


def one_class(scores, y):
    return scores[(scores["fold"] == "train") | (y == 1)]


def no_fold_name(scores, y):
    scores.loc[3, "fold"] = None
    return scores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "'score' is outside [0, 1] in 1 row (data row 4)"),
        (missing, "'score' is missing in 2 rows (data rows 4 and 6)"),
        (unknown_ids, "lender.csv: it has no label for 2 rows (data rows 4 and 6) of changed.csv"),
        (twice, "ids occur more than once in 2 rows (data rows 4 and 6)"),
        (one_class, "fold 'test': metrics need both classes"),
        (no_fold_name, "'fold' is missing in 1 row (data row 4)"),
    ],
)
def test_bad_scores_are_counted_and_not_quoted(tables, change, message):
    folder, scores, y = tables
    change(scores, y).to_csv(folder / "changed.csv", index=False)
    result = evaluate(folder, scores="changed.csv")
    assert result.exit_code == 4, result.output
    assert message in result.stderr
    assert "1.25" not in result.stderr
    assert "secret" not in result.stderr


def test_rows_of_other_folds_need_no_label(tables):
    folder, scores, y = tables
    unknown_ids(scores, y).to_csv(folder / "changed.csv", index=False)  # both in train
    result = evaluate(folder, "--fold", "test", scores="changed.csv")
    assert result.exit_code == 0, result.stderr


def test_a_fold_needs_its_column(tables):
    folder, scores, _ = tables
    scores.drop(columns="fold").to_csv(folder / "changed.csv", index=False)
    result = evaluate(folder, "--fold", "test", scores="changed.csv")
    assert result.exit_code == 4
    assert "there is no column 'fold', so --fold test cannot be chosen" in result.stderr
