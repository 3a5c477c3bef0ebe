"""Networks on the command line: two companies' processes, one process, and what is refused."""

import json
import re
import signal
import tomllib
from dataclasses import fields

import msgspec
import numpy as np
import pandas as pd
import pytest
from support.cli import run
from support.companies import TRAIN, address, make_companies, sets, two_tables

pytest.importorskip("torch", reason="torch is not installed; make test-nn installs it")
pytest.importorskip("safetensors", reason="safetensors is not installed; make test-nn installs it")

from secureboost import NetPolicy, SplitNNClassifier, pool_tables
from secureboost.cli.answering_nets import net_terms
from secureboost.config import load_serve_config, write_example
from secureboost.config_nets import NetLimits
from secureboost.kinds import get_kind
from secureboost.splitnn.joined import joined_weights, same_weights
from secureboost.splitnn.options import Choice

NET = """\
[net]
n_epochs = 3
batch_size = 16
learning_rate = 0.01
bottom_hidden = [8]
top_hidden = [8]
cut_width = 4
dtype = "float64"
random_state = 5
"""
PARAMETERS = {
    "n_epochs": 3,
    "batch_size": 16,
    "learning_rate": 0.01,
    "bottom_hidden": [8],
    "top_hidden": [8],
    "cut_width": 4,
    "dtype": "float64",
    "random_state": 5,
}
AS_NET = ("--trainer", "splitnn")
RESULTS = {
    *("model", "label.safetensors", "metrics.json", "scores.csv", "report.html", "log.jsonl"),
}
LIMITS = "nets.min_batch_rows=4"


@pytest.fixture
def companies(tmp_path):
    made = make_companies(tmp_path)
    made.train_toml.write_text(TRAIN.replace("[tls]", f"{NET}[tls]"))
    return made


def train(companies, *settings, more=()):
    return run("train", companies.train_toml, *AS_NET, *sets(settings), *more)


def metrics(companies):
    return json.loads((companies.out / "metrics.json").read_text())


def test_two_companies_train_and_score_and_equal_the_pooled_network(companies):
    with companies.serve(LIMITS) as served:
        where = address(served)
        done = train(companies, where)
        assert done.exit_code == 0, done.stderr
        assert re.search(r"1 of 3 epochs, .* sent, loss \d.\d{4}, auc: train \d", done.stderr)
        scores = pd.read_csv(companies.out / "scores.csv", dtype={"id": str})
        again = run("predict", companies.out / "model", "--config", companies.train_toml,
                    *sets((where,)))  # fmt: skip
        assert again.exit_code == 0, again.stderr
        lines = [line.split(",") for line in again.stdout.splitlines()]
        assert [float(line[2]) for line in lines[1:]] == list(scores["score"])
        trees = run("train", companies.train_toml, *sets((where, "out='trees'")))
        assert trees.exit_code == 0, trees.stderr
        assert [path.name for path in companies.lender.glob("trees/model/*")] == ["label.json"]
        assert served.end(signal.SIGTERM) == 0
    assert companies.left() == RESULTS
    for line in ("trainers: secureboost, splitnn", "training begins: 48 rows", "training ends",
                 "60 rows scored"):  # fmt: skip
        assert line in served.text
    found = metrics(companies)
    half = companies.bureau / "models" / "nets" / f"{found['model_id']}.safetensors"
    budget = json.loads((half.parent / "budget.json").read_text())
    # three epochs of three batches; rows: all of them after each epoch, and scored twice
    assert [*budget.values()] == [{"exchanges": 9, "evaluated_rows": 5 * 60, "refused_setups": 0}]

    pooled, owner = pool_tables(*tables_of(companies))
    bad = pooled.pop("bad")
    at = scores.set_index("id")["fold"]
    own = {fold: pooled.loc[at.index[at == fold]] for fold in ("train", "test")}
    twin = SplitNNClassifier(**PARAMETERS, eval_metric=["logloss", "auc"])
    twin.fit(
        own["train"],
        bad[own["train"].index],
        column_owner=owner,
        eval_set=[(part, bad[part.index]) for part in own.values()],
    )
    assert same_weights(
        joined_weights((companies.out / "model" / "label.safetensors").read_bytes(),
                       [half.read_bytes()]),
        joined_weights(twin._half),
    )  # fmt: skip
    assert list(twin.predict_proba(pooled.loc[at.index])[:, 1]) == list(scores["score"])
    history = found["history"]
    assert history["train"].pop("loss") == twin.training_loss_
    assert list(history.values()) == list(twin.evals_result_.values())


def tables_of(companies):
    frames = [
        pd.read_csv(companies.folder / name / f"{name}.csv", dtype={"id": str}, index_col="id")
        for name in ("lender", "bureau")
    ]
    return frames[0], {"bureau": frames[1]}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trainer=secureboost", r"serves no networks: its configuration has no \[nets\]"),
        ("nets.min_batch_rows=32", "below this party's floor of 32"),
    ],
)
def test_a_feature_partys_own_rules_bind(companies, setting, message):
    with companies.serve(setting) as served:
        done = train(companies, address(served))
        served.wait_line("the session ended early|lender has finished|nothing was asked")
    assert done.exit_code == 6, done.stderr
    assert re.search(message, done.stderr), done.stderr


def terms(companies, *settings):
    return net_terms(load_serve_config(companies.serve_toml, settings), "digest")


def test_what_a_feature_party_says_of_networks_is_what_it_brings(companies):
    found = terms(
        companies,
        "nets.max_width=8",
        "nets.codecs=['int8']",
        "nets.protections=['gaussian_noise']",
        "nets.architecture={mlp={hidden=[3]}}",
        "nets.threads=2",
    )
    assert found.policy == NetPolicy(
        max_width=8, codecs=("int8",), protections=(Choice("gaussian_noise"),)
    )
    assert found.architecture == Choice("mlp", {"hidden": [3]})
    assert found.threads == 2
    assert found.store.folder == companies.bureau / "models" / "nets"
    assert terms(companies).policy == NetPolicy()


def test_limits_are_those_of_the_policy():
    limits = msgspec.structs.asdict(NetLimits())
    of_policy = {field.name: limits[field.name] for field in fields(NetPolicy)}
    assert NetPolicy(**of_policy | {"protections": ()}) == NetPolicy()


def test_what_was_given_out_counts_after_a_restart(companies):
    limits = ("nets.max_evaluated_rows=400", "nets.max_exchanges=10")
    budget = terms(companies, *limits).budget
    assert budget.spend_rows(300)
    assert budget.spend_exchange()
    again = terms(companies, *limits).budget
    assert not again.spend_rows(101)
    assert again.spend_rows(100)
    assert (again.spent.exchanges, again.spent.evaluated_rows) == (1, 400)


def test_a_run_that_was_killed_goes_on_and_equals_one_that_was_left_alone(companies):
    many = ("net.n_epochs=60",)
    with companies.serve(LIMITS) as served:
        where = address(served)
        assert train(companies, where, *many, "out='undisturbed'").exit_code == 0
        with companies.train(where, "trainer=splitnn", "net.n_epochs=60000") as trained:
            trained.wait_line("1 of 60000 epochs")
            trained.end(signal.SIGKILL)
        served.wait_line("the session ended early")
        assert companies.left() == {"log.jsonl", "checkpoint.bin"}
        assert kept_epochs(companies) < 60
        refused = train(companies, where, *many)
        assert refused.exit_code == 3
        assert "holds an interrupted run; go on with it by --resume" in refused.stderr
        other = train(companies, where, *many, "net.batch_size=8", more=("--resume",))
        assert other.exit_code == 3
        assert "cannot go on with other batch_size (16 then, 8 now)" in other.stderr
        resumed = train(companies, where, *many, more=("--resume",))
        assert resumed.exit_code == 0, resumed.stderr
    assert companies.left() == RESULTS
    undisturbed = companies.lender / "undisturbed"
    assert (companies.out / "scores.csv").read_bytes() == (undisturbed / "scores.csv").read_bytes()
    whole = json.loads((undisturbed / "metrics.json").read_text())
    assert metrics(companies)["history"] == whole["history"]


def test_a_feature_party_that_ends_leaves_a_run_to_go_on_with(companies):
    long = ("trainer=splitnn", "net.n_epochs=60000")
    with companies.serve(LIMITS) as served, companies.train(address(served), *long) as trained:
        trained.wait_line("1 of 60000 epochs")
        assert served.end(signal.SIGKILL) == -signal.SIGKILL
        assert trained.end() == 5
    assert re.search(r"of 60000 epochs are kept in .*start again with --resume", trained.text)


def kept_epochs(companies) -> int:
    return get_kind("splitnn").rounds_kept(companies.out / "checkpoint.bin")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("net.cutwidth=8", "net.cutwidth: there is no such setting. Did you mean 'cut_width'?"),
        ("net.cut_width=0", "net.cut_width: is 0; it must be a whole number from 1"),
        ("net.codec=int9", "net.codec: 'int9' is not a codec"),
        ("net.architecture=mpl", "net.architecture: 'mpl' is not an architecture"),
        ("net.in_flight=99", "net.in_flight: is 99; it must be a whole number from 1 to"),
        ("net.learning_rate=-1", "net.learning_rate: is -1"),
        ("net.learning_rate='fast'", "net.learning_rate: is 'fast'"),
        ("net.label_protections=['marvel']", "'marvel' is not a protection"),
        ("net.bottom_hidden='wide'", "net: bottom_hidden='wide' cannot be used"),
        ("net.bottom_options={hiden=[3]}", "'hiden' is not an option"),
        ("net.bottoms={burau='mlp'}", "net.bottoms: names 'burau'"),
        ("net.body=burau", "net.body: is 'burau', which is none of the parties"),
        ("net.n_jobs=0", "n_jobs=0 is not a whole number other than 0"),
        ("net.eval_metric=acu", "acu"),
        ("net.early_stopping_rounds=0", "early_stopping_rounds=0 must be at least 1"),
        ("net.objective=reg:gama", "reg:gama"),
        ("data.target=[]", "data.target"),
        ("trainer=splitn", "trainer: 'splitn' is not a trainer"),
    ],
)
def test_settings_that_cannot_be_are_told_before_anybody_is_asked(companies, setting, message):
    done = run("train", companies.train_toml, *sets(("trainer=splitnn", setting)))
    assert done.exit_code == 3, done.stderr
    assert message in done.stderr
    assert "dialling" not in done.stderr
    assert not companies.out.exists() or not companies.left()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("nets.max_with=8", "nets.max_with: there is no such setting. Did you mean 'max_width'?"),
        ("nets.max_width=0", "nets.max_width: 0 cannot be used"),
        ("nets.codecs=['int9']", "nets.codecs: 'int9' is not a codec"),
        ("nets.architecture=mpl", "nets.architecture: 'mpl' is not an architecture"),
        ("nets.architecture={mlp={hiden=[3]}}", "'hiden' is not an option"),
        ("nets.protections=['gausian']", "nets.protections: 'gausian' is not a protection"),
        ("net.max_width=8", "net: there is no such setting. Did you mean 'nets'?"),
        ("trainer=align", "trainer: 'align' is not a trainer"),
    ],
)
def test_settings_of_a_feature_party_that_cannot_be(companies, setting, message):
    done = run("serve", companies.serve_toml, *sets((setting,)))
    assert done.exit_code == 3, done.stderr
    assert message in done.stderr


def test_what_is_for_trees_alone_is_refused(companies):
    for command, more, message in (
        ("train", ("--plan",), "--plan: only trees are planned"),
        ("cv", (), "trainer: only trees are cross-validated and tuned here"),
        ("tune", ("--trials", 2), "trainer: only trees are cross-validated and tuned here"),
    ):
        done = run(command, companies.train_toml, "--set", "trainer=splitnn", *more)
        assert done.exit_code == 3, done.stderr
        assert message in done.stderr
    several = run("train", companies.train_toml, "--set", "data.target=['bad','income']")
    assert several.exit_code == 3
    assert "names several labels, which only networks learn" in several.stderr


@pytest.fixture
def simulated(tmp_path):
    lender, bureau = two_tables(200)
    lender["late"] = np.where(np.arange(200) % 5 == 0, 1 - lender["bad"], lender["bad"])
    lender.to_csv(tmp_path / "lender.csv")
    bureau.to_csv(tmp_path / "bureau.csv")

    def simulate(*targets, out="out", **settings):
        given = PARAMETERS | settings
        return run(
            "simulate", "--label", tmp_path / "lender.csv", "--id", "id",
            *(word for target in targets for word in ("--target", target)),
            "--party", f"bureau={tmp_path / 'bureau.csv'}", "--out", tmp_path / out, *AS_NET,
            *sets(tuple(f"{name}={json.dumps(value)}" for name, value in given.items())),
        )  # fmt: skip

    return tmp_path, simulate


def test_simulate_scores_and_looks_into_a_network(simulated):
    folder, simulate = simulated
    done = simulate("bad", early_stopping_rounds=2, n_epochs=30)
    assert done.exit_code == 0, done.stderr
    kept = re.search(r"early stopping kept the first (\d+) of \d+ epochs", done.stderr)
    scores = pd.read_csv(folder / "out" / "scores.csv")
    page = (folder / "out" / "report.html").read_text()
    assert "Training: loss" in page
    assert f"mlp, {kept[1]} epochs" in page
    assert "encryption" not in page
    assert "the gradient of the loss by what it sent" in page
    predicted = run("predict", folder / "out" / "model", "--data", folder / "lender.csv",
                    "--id", "id", "--party", f"bureau={folder / 'bureau.csv'}")  # fmt: skip
    assert predicted.exit_code == 0, predicted.stderr
    values = [float(line.split(",")[2]) for line in predicted.stdout.splitlines()[1:]]
    assert values == list(scores["score"])

    shown = run("model", "inspect", folder / "out" / "model")
    assert shown.exit_code == 0, shown.stderr
    for text in ("mlp", f"{kept[1]} (early stopping chose it)", "its half is here", "cut_width = 4",
                 "codec identity, float64", "AUC"):  # fmt: skip
        assert text in shown.stdout, shown.stdout
    listed = json.loads(
        run("model", "inspect", folder / "out" / "model", "--format", "json").stdout
    )
    assert listed["partners"] == [{"name": "bureau", "width": 4, "half_here": True}]
    assert listed["metrics"]["train"]["rows"] == 160
    for more in (("--format", "dot"), ("--tree", 0)):
        refused = run("model", "inspect", folder / "out" / "model", *more)
        assert refused.exit_code == 3
        assert "holds a network, which has no trees" in refused.stderr
    offline = run("score", folder / "out" / "model", "--data", folder / "lender.csv", "--id", "id")
    assert offline.exit_code == 3
    assert "which has no sides" in offline.stderr


def test_a_network_learns_several_labels(simulated):
    folder, simulate = simulated
    done = simulate("bad", "late")
    assert done.exit_code == 0, done.stderr
    assert "auc: late" in done.stderr
    scores = pd.read_csv(folder / "out" / "scores.csv")
    assert list(scores.columns) == ["id", "fold", "score_bad", "score_late"]
    found = json.loads((folder / "out" / "metrics.json").read_text())
    assert {"auc: bad", "auc: late", "ks: bad", "log_loss: late"} <= found["folds"]["test"].keys()
    assert "ROC of each label" in (folder / "out" / "report.html").read_text()
    measured = run("evaluate", folder / "out" / "scores.csv", "--labels", folder / "lender.csv",
                   "--id", "id", "--target", "late", "--score", "score_late", "--json",
                   "--registry", "off")  # fmt: skip
    assert measured.exit_code == 0, measured.stderr
    assert (
        json.loads(measured.stdout)["folds"]["test"]["auc"] == found["folds"]["test"]["auc: late"]
    )


def test_runs_of_networks_are_recorded(simulated):
    folder, _ = simulated
    registry = f"{folder / 'runs.db'}"
    done = run(
        "simulate", "--label", folder / "lender.csv", "--id", "id", "--target", "bad", "--party",
        f"bureau={folder / 'bureau.csv'}", "--out", folder / "out", *AS_NET, "--set", "n_epochs=2",
        "--registry", registry,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    listed = json.loads(run("runs", "list", "--json", "--registry", registry).stdout)
    assert listed[0]["trainer"] == "splitnn"
    assert listed[0]["rounds"] == 2
    assert listed[0]["parameters"]["n_epochs"] == 2


def test_a_network_scores_while_a_party_is_down(simulated):
    folder, simulate = simulated
    assert simulate("bad", party_dropout=0.3).exit_code == 0
    rows = ("--data", folder / "lender.csv", "--id", "id")
    alone = run("predict", folder / "out" / "model", *rows, "--without", "bureau")
    assert alone.exit_code == 0, alone.stderr
    assert len(alone.stdout.splitlines()) == 201
    shown = run("model", "inspect", folder / "out" / "model").stdout
    assert "Where a party is missing" in shown
    assert simulate("bad", out="brittle").exit_code == 0
    refused = run("predict", folder / "brittle" / "model", *rows, "--without", "bureau")
    assert refused.exit_code != 0
    assert "party_dropout" in refused.stderr


def uncommented(path, section):
    """An example's table as if its settings had been chosen."""
    lines = path.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.lstrip("# ").startswith(f"[{section}]"))
    chosen = [f"[{section}]"]
    for line in lines[start + 1 :]:
        if line.startswith("["):
            break
        if line.startswith("# "):
            chosen.append(line.removeprefix("# "))
    return "\n".join(chosen)


def test_what_the_examples_say_of_networks_can_be_used(tmp_path):
    train_file, serve_file = tmp_path / "train.toml", tmp_path / "serve.toml"
    write_example("train", train_file)
    write_example("serve", serve_file)
    section = tomllib.loads(uncommented(train_file, "net"))["net"]
    model = get_kind("splitnn").make_model(section, "net")
    assert model.bottoms.keys() == {"", "bureau"}
    get_kind("splitnn").check_names(model, [], ["bureau"])
    nets = uncommented(serve_file, "nets").replace("members", "# members")
    serve_file.write_text(serve_file.read_text() + "\n" + nets)
    loaded = load_serve_config(serve_file)
    assert net_terms(loaded, "digest").policy.min_batch_rows == 256


def test_the_demo_shows_a_network_that_equals_the_pooled_one(tmp_path):
    out = tmp_path / "demo"
    done = run("demo", *AS_NET, "--rows", 600, "--epochs", 2, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "equals the pooled plaintext model exactly: every weight and every score" in done.stderr
    for name in ("lender/model/label.safetensors", "lender/report.html", "bureau/models/nets"):
        assert (out / name).exists()
    assert "Paillier" not in done.stderr
