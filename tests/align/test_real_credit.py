"""From two raw files to a model that was tried: real tables, in other orders, partly common.

29,076 credit card clients at the lender and 28,495 at the partner, 27,620 of them common. The
commands are those of the README, between two processes over mutual TLS.
"""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from support.cli import run
from support.companies import SERVE, TRAIN, Companies, address, sets

from parties.certificates import create_certificate
from secureboost import SecureBoostClassifier
from secureboost.alignment import read_alignment

pytestmark = pytest.mark.data

N_LENDER, N_PARTNER, N_COMMON = 29_076, 28_495, 27_620


@pytest.fixture
def companies(data_folder, tmp_path):
    folder = data_folder / "credit_default"
    if not folder.is_dir():
        pytest.skip(f"no real tables: {folder} is absent")
    companies = Companies(tmp_path)
    for name, file in (("lender", "lender.csv"), ("bureau", "partner.csv")):
        (tmp_path / name).mkdir()
        create_certificate(name, tmp_path / name / f"{name}.crt", tmp_path / name / f"{name}.key")
        shutil.copy(folder / file, tmp_path / name / f"{name}.csv")
    companies.train_toml.write_text(
        TRAIN.replace('target = "bad"', 'target = "default"') + '[align]\nfile = "alignment"\n'
    )
    companies.serve_toml.write_text(SERVE + "[align]\nmin_size = 1000\n")
    return companies


def test_two_raw_files_become_a_model_that_was_tried(companies):
    with companies.serve() as served:
        where = sets((address(served), "model.max_bin=32"))
        aligned = run("align", companies.train_toml, *where, COLUMNS="200")
        assert aligned.exit_code == 0, aligned.stderr
        trained = run("train", companies.train_toml, *where)
        assert trained.exit_code == 0, trained.stderr
    assert re.search(rf"bureau +{N_PARTNER:,} +{N_COMMON:,} +95\.0 %", aligned.stdout)
    assert f"rows: label party {N_LENDER:,}, bureau {N_PARTNER:,}; common {N_COMMON:,}" in (
        trained.stderr
    )
    scores, labels = companies.out / "scores.csv", companies.lender / "lender.csv"
    tried = run(
        *("evaluate", scores, "--labels", labels, "--target", "default", "--id", "id", "--json")
    )
    assert tried.exit_code == 0, tried.stderr
    found = json.loads(tried.stdout)
    assert found["rows_matched"] == N_COMMON
    assert found["labels_without_score"] == N_LENDER - N_COMMON

    # The same on the pooled table, joined by the ids in plain sight.
    lender, bureau = (
        pd.read_csv(companies.folder / name / f"{name}.csv", dtype={"id": str}).set_index("id")
        for name in ("lender", "bureau")
    )
    common = lender.index[lender.index.isin(bureau.index)]
    alignment = read_alignment(companies.lender / "alignment" / "bureau.alignment")
    assert sorted(lender.index[alignment.rows]) == sorted(common)
    scored = pd.read_csv(scores, dtype={"id": str}).set_index("id")
    assert scored.index.equals(common)
    pooled = lender.loc[common].drop(columns="default").join(bureau)
    train, test = (scored.index[scored["fold"] == fold] for fold in ("train", "test"))
    twin = SecureBoostClassifier(n_estimators=2, max_depth=2, max_bin=32)
    twin.fit(pooled.loc[train], lender.loc[train, "default"])
    assert np.array_equal(twin.predict_proba(pooled)[:, 1], scored["score"])
    area = roc_auc_score(lender.loc[test, "default"], scored.loc[test, "score"])
    assert found["folds"]["test"]["auc"] == pytest.approx(area)
    assert area > 0.72
