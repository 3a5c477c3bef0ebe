"""`secureboost model inspect`: trees as a person draws them."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from support.cli import run

from secureboost import FeatureParty, SecureBoostClassifier
from secureboost.cli.drawing import dot
from secureboost.inspection import NodeView, TreeView, number_text


def tables(rows=200):
    draws = np.random.default_rng(0)
    ids = pd.Index([f"C{i:03d}" for i in range(rows)], name="id")
    lender = pd.DataFrame(
        {
            "income": draws.normal(30, 9, rows).round(),
            "purpose": draws.choice(['car "new"', "home", "travel"], rows),
        },
        index=ids,
    )
    lender.loc[ids[::7], "income"] = np.nan
    bureau = pd.DataFrame({"late": draws.integers(0, 4, rows)}, index=ids)
    signal = lender["income"].fillna(20) / 9 - bureau["late"] + 2 * (lender["purpose"] == "home")
    return lender, bureau, signal.to_numpy()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of two classes, with the bureau's half beside it."""
    lender, bureau, signal = tables()
    party = FeatureParty("bureau", bureau)
    model = SecureBoostClassifier(
        n_estimators=2, max_depth=2, scheme="plain", min_data_per_group=5,
        monotone_constraints={"income": 1},
    )  # fmt: skip
    model.fit(lender, signal > np.median(signal), parties=[party])
    folder = tmp_path_factory.mktemp("model") / "model"
    model.save(folder)
    return folder


@pytest.fixture
def alone(saved, tmp_path):
    """The label party's half without the bureau's."""
    (tmp_path / "model").mkdir()
    shutil.copy(saved / "label.json", tmp_path / "model")
    return tmp_path / "model"


def inspect(*arguments):
    done = run("model", "inspect", *arguments, COLUMNS="200")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_summary_and_the_first_tree(saved):
    text = inspect(saved)
    for part in (
        "objective    binary:logistic",
        "classes      False, True",
        "trees        2 in 2 rounds",
        "bureau       1 columns,",
        "its half is read",
        "monotone_constraints = {'income': 1}",
        "max_depth = 2",
        "Columns by gain",
        "bureau: late ",
        "Trees are numbered 0 to 1; --tree shows another.",
    ):
        assert part in text, part
    tree = text[text.index("\ntree 0\n") :].splitlines()[2:]
    assert re.fullmatch(r"(bureau: )?\w+ .*   missing: (yes|no), (gain .*, )?cover 49.6", tree[0])
    assert [line[:8] for line in tree[1:7]] == [
        "├── yes:", "│   ├── ", "│   └── ", "└── no: ", "    ├── ", "    └── ",
    ]  # fmt: skip
    leaves = re.findall(r"(?:yes|no): [+-]\d\S*   cover [\d.]+", text)
    assert len(leaves) == 4


def test_a_partner_is_opaque_until_its_half_is_given(saved, alone):
    text = inspect(alone, "--tree", 0, "--tree", 1)
    assert re.search(r"bureau: split \d+   cover", text)
    assert "late" not in text
    assert "bureau/0" in inspect(alone)
    assert "1 columns" in inspect(alone)
    assert "opaque without its half" in inspect(alone)
    readable = inspect(alone, "--half", saved / "bureau.json", "--tree", 0, "--tree", 1)
    assert readable == inspect(saved, "--tree", 0, "--tree", 1)
    assert re.search(r"bureau: late <= [0-3]\.5   missing", readable)


def test_json_has_everything(saved):
    listing = json.loads(inspect(saved, "--format", "json"))
    assert len(listing["trees"]) == listing["n_trees"] == 2
    assert listing["constraints"] == {"monotone_constraints": {"income": 1}}
    assert listing["partners"][0]["readable"] is True
    assert sum(one["share"] for one in listing["importances"]) == pytest.approx(1.0)
    half = json.loads((saved / "label.json").read_text())
    root = listing["trees"][0]["nodes"][0]
    assert root["cover"] == half["trees"][0]["cover"][0]
    categories = [
        tuple(node["categories"])
        for tree in listing["trees"]
        for node in tree["nodes"]
        if node["categories"]
    ]
    assert categories  # the strongest column is one of them
    assert {len(c) for c in categories} <= {1, 2}


def test_dot_is_a_graph(saved):
    text = inspect(saved, "--format", "dot", "--tree", 0, "--tree", 1)
    trees = json.loads(inspect(saved, "--format", "json"))["trees"]
    nodes = [node for tree in trees for node in tree["nodes"]]
    assert text.startswith("digraph model {\n")
    assert text.endswith("  }\n}\n")
    assert text.count("->") == sum(node[side] >= 0 for node in nodes for side in ("left", "right"))
    assert text.count("cover") == len(nodes)
    assert 'label="tree 1"' in text


def test_what_graphviz_would_read_as_its_own_is_escaped():
    leaf = {"gain": 0.0, "cover": 1.0, "values": (0.5,), "left": -1, "right": -1}
    split = {"gain": 1.0, "cover": 2.0, "values": (), "left": 1, "right": 2}
    column = 'a "b" \\'
    nodes = (
        NodeView(0, "", column, None, 1.0, None, True, **split),
        *(NodeView(i, "", None, None, None, None, None, **leaf) for i in (1, 2)),
    )
    text = dot([TreeView(0, 0, "", nodes)], ())
    assert r't0n0 [label="a \"b\" \\ <= 1\nmissing: yes, gain 1, cover 2"];' in text


def test_metrics_of_the_run_are_shown(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "run" / "model")
    model_id = json.loads((saved / "label.json").read_text())["model_id"]
    metrics = {"model_id": model_id, "folds": {"test": {"auc": 0.75, "rows": 40}}}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    assert re.search(r"test +40 +0\.7500", inspect(tmp_path / "run" / "model"))
    metrics["model_id"] = "another"
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    assert "0.7500" not in inspect(tmp_path / "run" / "model")


@pytest.mark.parametrize("together", [False, True])
def test_several_classes(tmp_path, together):
    lender, _, signal = tables()
    strategy = "multi_output_tree" if together else "one_output_per_tree"
    y = np.digitize(signal, np.quantile(signal, [0.3, 0.7]))
    model = SecureBoostClassifier(n_estimators=2, max_depth=1, multi_strategy=strategy)
    model.fit(lender, np.array(["low", "mid", "high"])[y]).save(tmp_path / "m")
    text = inspect(tmp_path / "m", "--tree", 1)
    if together:
        assert re.search(r"yes: high [+-]\S+, low [+-]\S+, mid [+-]\S+   cover", text)
        assert text.strip().startswith("tree 1\n")
    else:
        assert text.strip().startswith("tree 1, class low (round 0)\n")
        assert "trees        6 in 2 rounds" in inspect(tmp_path / "m")


def test_what_is_not_there(saved, alone, tmp_path):
    for arguments, message in (
        ((saved, "--tree", 7), "There is no tree 7; they are 0 to 1."),
        (
            (tmp_path,),
            "label.json or label.safetensors: no such file. The label",
        ),
        ((saved, "--half", saved / "label.json"), "is not a feature party's half of a model"),
    ):
        done = run("model", "inspect", *arguments)
        assert (done.exit_code, message in done.stderr) == (7, True), done.output
        assert done.stdout == ""
    text = (saved / "bureau.json").read_text()
    (tmp_path / "other.json").write_text(text.replace('"party": "bureau"', '"party": "telco"'))
    done = run("model", "inspect", alone, "--half", tmp_path / "other.json")
    assert "A half of party 'telco' was given; the model's parties are: bureau." in done.stderr


def test_thresholds_are_short_but_exact():
    assert number_text(31900.0) == "31900"
    assert number_text(float(np.float32(0.1))) == "0.1"
    assert number_text(-2.5) == "-2.5"
    assert number_text(float(np.float32(1.5e-7))) == "1.5e-07"
    assert number_text(3e9) == "3e+09"
