"""A lender and a bureau build a scorecard together, under real encryption, in one process.

Run it with ``python examples/credit_scorecard.py``: half a minute. It is the notebook
``credit_scorecard.ipynb`` as a script; ``make_notebook.py`` makes the one of the other.
"""

# %% [markdown]
# # A credit scorecard from two companies' tables
#
# A lender and a credit bureau train one model under encryption, in one process: the lender has the
# defaults and what applicants wrote, the bureau has what it knows of the same people. On the way:
# categories on both sides, weights, a monotone constraint on a column of each party, early stopping
# on later applications, a comparison with what the lender reaches alone, and the finished model
# taken out as an XGBoost file, with the bureau's consent, to be explained with SHAP.
#
# With the tables of `SECUREBOOST_DATA` (folder `credit_default`: UCI 350, default of credit card
# clients, Yeh and Lien 2009, CC BY 4.0, split by columns) it runs on real data, else on a generated
# portfolio. `CUSTOMERS` and `ROUNDS` in the environment make it smaller or larger; charts and model
# go to the folder `SCORECARD_OUT`. For the charts and the last section:
# `pip install matplotlib shap xgboost`.

# %%
import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd

from secureboost import (
    FeatureParty,
    Policy,
    SecureBoostClassifier,
    TrainingCallback,
    pool_tables,
)
from secureboost.dates import out_of_time
from secureboost.metrics import evaluate
from secureboost.portfolio import make_portfolio

CUSTOMERS = int(os.environ.get("CUSTOMERS", "10000"))
ROUNDS = int(os.environ.get("ROUNDS", "50"))
OUT = Path(os.environ.get("SCORECARD_OUT") or mkdtemp(prefix="scorecard-"))
DATA = Path(os.environ.get("SECUREBOOST_DATA", "")) / "credit_default"

# %% [markdown]
# ## The two tables
#
# The lender leaves out sex and marital status: it must not decide by them. It cannot know what the
# bureau's columns are called or mean, so the bureau itself declares that a prediction must not fall
# as its column 0 (months in arrears) grows. The lender may then use that very sign.


# %%
@dataclass(frozen=True)
class Companies:
    """Both tables, indexed by customer id, and what their owners say about them."""

    source: str
    lender: pd.DataFrame  # with the column "default"
    bureau: pd.DataFrame  # its first column is the one with the declared sign
    amount: str  # what is at stake: the lender's column that weights come from
    lender_categories: list[str]
    falling: str  # the lender's column with which risk must not rise


def real_tables():
    """Credit card clients of a bank in Taiwan, 2005."""
    lender = pd.read_csv(DATA / "lender.csv", dtype={"id": str}).set_index("id")
    history = pd.read_csv(DATA / "partner.csv", dtype={"id": str}).set_index("id")
    latest = history.pop("PAY_0")  # above 0: months late
    states = {-2: "no bill", -1: "paid in full", 0: "paid in part"}
    bureau = history.assign(state=latest.map(states).fillna("late"))
    bureau.insert(0, "months_late", latest.clip(lower=0))
    return Companies(
        "UCI 350, credit card clients",
        lender.drop(columns=["SEX", "MARRIAGE"]),
        bureau,
        "LIMIT_BAL",
        ["EDUCATION"],
        "LIMIT_BAL",
    )


def generated_tables():
    """The portfolio that comes with SecureBoost."""
    portfolio = make_portfolio(max(2 * CUSTOMERS, 1_000))
    guarantor = portfolio.bureau["guarantor"].map({0: "no", 1: "yes"})
    return Companies(
        "generated portfolio",
        portfolio.lender,
        portfolio.bureau.assign(guarantor=guarantor),
        "loan_amount",
        ["employment", "purpose"],
        "income",
    )


companies = real_tables() if DATA.is_dir() else generated_tables()
both = companies.lender.index.intersection(companies.bureau.index)  # companies align by id first
sample = np.random.default_rng(1).permutation(len(both))[:CUSTOMERS]
lender = companies.lender.loc[both[np.sort(sample)]]
defaulted = lender.pop("default").astype(int)
print(f"{companies.source}: {len(lender)} of {len(both)} customers of both companies")
print(f"{defaulted.mean():.1%} defaulted")
print("lender:", ", ".join(lender.columns))
print("bureau:", ", ".join(companies.bureau.columns), "(which the lender does not see)")

# %% [markdown]
# ## Train, stop, judge
#
# Neither table has a date, so this one is made up. A model that is to be used on next year's
# applicants is stopped on applications that came after those it is trained on, and judged on still
# later ones.

# %%
days = np.random.default_rng(2).integers(0, 730, len(lender))
applied = pd.Series(pd.Timestamp(2024, 1, 1) + pd.to_timedelta(days, unit="D"), lender.index)
earlier, test = out_of_time(applied, test_from="2025-07-01", name="applied")
train, stop = (
    earlier[part]
    for part in out_of_time(applied.iloc[earlier], test_from="2025-01-01", name="applied")
)
parts = {"train": lender.index[train], "stop": lender.index[stop], "test": lender.index[test]}

# A default on a large line costs more: weights are the amounts, within limits, with mean 1.
amount = lender[companies.amount]
weight = (amount / amount.mean()).clip(0.25, 4.0)
weight /= weight.mean()
for name, rows in parts.items():
    first, last = applied[rows].min(), applied[rows].max()
    print(f"{name:<5} {len(rows):>5} applications, {first:%Y-%m-%d} to {last:%Y-%m-%d}")

# %% [markdown]
# ## One model of both
#
# The key has 2,048 bits. Rows of `eval_set` ride along in training without being encrypted: the
# bureau is asked on which side of its own splits they lie, as in prediction, and bins are cut by
# training rows alone.


# %%
class EveryFifth(TrainingCallback):
    """Says how it goes."""

    def before_training(self, model):
        """Remember when it began."""
        self.began = time.monotonic()
        return model

    def after_iteration(self, model, epoch, evals_log):
        """Print a line now and then."""
        if epoch % 5 == 4:
            auc = evals_log["validation_1"]["auc"][-1]
            seconds = time.monotonic() - self.began
            print(f"round {epoch + 1:>3}: AUC {auc:.4f} on later applications, {seconds:.0f} s")


def make_model(monotone, callbacks=()):
    """The parameters of all models here."""
    return SecureBoostClassifier(
        n_estimators=ROUNDS,
        learning_rate=0.15,
        max_depth=4,
        max_bin=32,
        min_child_samples=20,
        categorical_features=companies.lender_categories,
        monotone_constraints=monotone,
        eval_metric=["auc", "logloss"],
        early_stopping_rounds=8,
        callbacks=list(callbacks),
    )


def fit(model, table, **more):
    """Train on the earliest applications, stop on later ones."""
    return model.fit(
        table.loc[parts["train"]],
        defaulted[parts["train"]],
        sample_weight=weight[parts["train"]],
        eval_set=[(table.loc[parts[name]], defaulted[parts[name]]) for name in ("train", "stop")],
        sample_weight_eval_set=[weight[parts[name]] for name in ("train", "stop")],
        **more,
    )


bureau = FeatureParty(
    "bureau",
    companies.bureau,
    policy=Policy(min_child_samples=20),
    monotone={companies.bureau.columns[0]: 1},
)
own = {companies.falling: -1}
model = fit(make_model({**own, "bureau/0": 1}, [EveryFifth()]), lender, parties=[bureau])
print(f"the best round, the last that is kept, is {model.best_iteration_ + 1}")

# %% [markdown]
# ## What the bureau is worth
#
# The same parameters on the lender's own columns; and on both tables in one place, which only a
# simulation can have: encryption must not change anything.

# %%
alone = fit(make_model(own), lender)
pooled, owner = pool_tables(lender, {"bureau": companies.bureau})
twin = fit(make_model({**own, owner["bureau"][0]: 1}), pooled, column_owner=owner)

scores = {
    "lender alone": alone.predict_proba(lender)[:, 1],
    "both, encrypted": model.predict_proba(lender)[:, 1],
    "both, in one place": twin.predict_proba(pooled)[:, 1],
}
same = np.array_equal(scores["both, encrypted"], scores["both, in one place"])
print(f"encrypted and pooled scores are equal: {same}")
quality = {}
for name, score in scores.items():
    for part, rows in parts.items():
        of_rows = score[lender.index.get_indexer(rows)]
        quality[name, part] = vars(evaluate(defaulted[rows], of_rows, weight[rows]))
table = pd.DataFrame(quality).T[["auc", "ks", "gini", "log_loss"]]
print(table.round(4).to_string())


# %%
def chart(name, draw):
    """Draw a chart and save it; a notebook shows it as well."""
    if find_spec("matplotlib") is None:
        print(f"no chart of {name}: pip install matplotlib")
        return
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / f"{name}.png", dpi=120)


def curves(axes):
    """AUC after every round, and the round that is kept."""
    for label, history, kept, colour in (
        ("both", model.evals_result_, model.best_iteration_, "tab:blue"),
        ("lender alone", alone.evals_result_, alone.best_iteration_, "tab:orange"),
    ):
        for part, name, style in (("validation_0", "train", ":"), ("validation_1", "later", "-")):
            auc = history[part]["auc"]
            rounds = np.arange(1, len(auc) + 1)
            axes.plot(rounds, auc, style, color=colour, label=f"{label}, {name}")
        axes.plot(kept + 1, history["validation_1"]["auc"][kept], "o", color=colour)
    axes.set(xlabel="round (dot: the last one that is kept)", ylabel="AUC")
    axes.legend(frameon=False)


chart("auc", curves)


# %%
def importances(axes):
    """Total gain of each column; the lender does not know the bureau's names."""
    model.set_params(importance_type="total_gain")
    found = pd.Series(model.feature_importances_, model.feature_names_out_).nlargest(12)[::-1]
    colours = ["tab:blue" if name.startswith("bureau/") else "tab:orange" for name in found.index]
    axes.barh(found.index, found, color=colours)
    axes.set(xlabel="share of the total gain (blue: the bureau's columns)")


chart("importances", importances)

# %% [markdown]
# ## Points and bands
#
# A scorecard gives points: here 600 at odds of 30 to 1, and 20 more where the odds double. Higher
# bands of test applications should have fewer defaults.

# %%
later = parts["test"]
log_odds_good = -model.decision_function(lender.loc[later])
points = 600 + 20 / np.log(2) * (log_odds_good - np.log(30))
bands = pd.qcut(points.round(), 5, duplicates="drop")
report = defaulted[later].groupby(bands, observed=True).agg(["size", "mean"])
report = report.set_axis(["applications", "default rate"], axis=1)[::-1]
print(report.to_string(float_format="{:.1%}".format))

# %% [markdown]
# The constraints hold by construction. To see it: one applicant's score along the lender's column,
# everything else kept.

# %%
applicant = lender.loc[later[[0]]]
grid = np.quantile(lender[companies.falling].dropna(), np.linspace(0, 1, 20))
along = pd.concat([applicant] * len(grid)).assign(**{companies.falling: grid})
along.index = [f"what if {number}" for number in range(len(grid))]
same_person = companies.bureau.loc[applicant.index.repeat(len(grid))].set_axis(along.index)
what_if = FeatureParty("bureau", same_person)  # the bureau's side of the made-up applicants
what_if.store.save(bureau.half(model.label_half_.model_id))
risk = model.predict_proba(along, parties=[what_if])[:, 1]
print(
    f"risk {risk[0]:.1%} at {companies.falling} {grid[0]:,.0f}, {risk[-1]:.1%} at {grid[-1]:,.0f}"
)
print("never rises:", bool((np.diff(risk) <= 0).all()))

# %% [markdown]
# ## Taking the model out
#
# Without the bureau there is no scoring: its half of the model holds its thresholds. If it consents
# it releases that half, and the lender gets one file that XGBoost loads and shap explains. It then
# sees the bureau's column names and thresholds. SHAP also needs covers: how many rows, by their
# hessians, reach each node.

# %%
released = bureau.release(model.label_half_.model_id, purpose="explaining decisions to applicants")
taken_out = model.to_xgboost([released], include_cover=True, path=OUT / "scorecard.json")
print(taken_out)
everything = lender.join(companies.bureau.add_prefix("bureau."))

# %%
if find_spec("xgboost"):
    margin = taken_out.booster().predict(
        taken_out.matrix(everything.loc[later]), output_margin=True
    )
    difference = np.abs(margin + log_odds_good).max()
    print(f"XGBoost's margins differ from ours by at most {difference:.0e}")

# %%
if find_spec("shap") and find_spec("xgboost"):
    import shap

    rows = everything.loc[later[:500]]
    effects = shap.TreeExplainer(taken_out.booster()).shap_values(taken_out.matrix(rows))
    names = [column.name for column in taken_out.vectors.columns]
    named = pd.Series(effects[0], names).sort_values(key=abs, ascending=False)
    print("largest effects on the log-odds of the first test application:")
    print(named[:5].round(3).to_string())

    def effects_of(axes):
        """How large and which way; categories have all one colour."""
        values = rows[names].select_dtypes("number").reindex(columns=names, fill_value=0)
        explained = shap.Explanation(effects, data=values.to_numpy(), feature_names=names)
        shap.plots.beeswarm(explained, ax=axes, plot_size=None, show=False)
        axes.set(xlabel="SHAP value: effect on the log-odds of a default")

    chart("shap", effects_of)
else:
    print("no SHAP: pip install shap xgboost")
