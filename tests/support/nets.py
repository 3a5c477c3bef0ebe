"""Parties and tables for tests of split networks, the pooled twin, and sessions asked by hand."""

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch
from support import federation

from parties.answerer import Answerer
from parties.messages import Ack
from parties.peer import make_hello
from parties.rows import match_rows
from secureboost import FeatureParty, NetTerms, SplitNNClassifier, pool_tables
from secureboost.party import feature_table
from secureboost.splitnn.model import BottomHead, decode_half
from secureboost.splitnn.options import Choice
from secureboost.splitnn.protocol import SetupBottom
from secureboost.trainers import ALIGN_TRAINER, codec_of, get_trainer

TRAINER = get_trainer("splitnn")
QUICK: dict[str, Any] = {
    "n_epochs": 2,
    "batch_size": 32,
    "learning_rate": 0.01,
    "bottom_hidden": (8,),
    "top_hidden": (8,),
    "cut_width": 4,
    "dtype": "float64",
    "random_state": 5,
}
"""Parameters of a small network whose twins must be equal."""


class WatchedParty(federation.WatchedParty):
    """One whose sessions are about networks, or find common rows."""

    def messages(self):
        """All requests and replies so far, decoded."""
        codec = codec_of([TRAINER, ALIGN_TRAINER])
        return [
            (codec.decode(exchange.request, "label"), codec.decode(exchange.reply, self.name))
            for transport in self.transports
            for exchange in transport.exchanges
        ]


class Net:
    """A label party's table and those of feature parties, which have more rows in other orders.

    Columns of every kind: numbers, numbers with gaps, a constant, categories with gaps, an empty
    one.
    """

    def __init__(self, n_parties: int = 1, n_rows: int = 150, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        ids = [f"K{number:05d}" for number in rng.permutation(3 * n_rows)]
        everybody, own = ids[: n_rows + n_rows // 3], ids[:n_rows]
        self.X = _table(rng, everybody, "own").loc[own]
        self.n_training = n_rows * 3 // 4
        tables = {
            f"party{number}": _table(rng, everybody, f"p{number}")
            for number in range(1, n_parties + 1)
        }
        score = self.X["own_number"].to_numpy() + rng.normal(scale=0.3, size=n_rows)
        for name, table in tables.items():
            score += table.loc[own, f"p{name[5:]}_number"].to_numpy()
            score += 2.0 * (table.loc[own, f"p{name[5:]}_kind"] == "a").to_numpy()
        self.y = np.where(score > np.median(score), "good", "bad")
        self.grade = np.digitize(score, np.quantile(score, [0.3, 0.7]))
        self.amount = 5000.0 + 900.0 * score
        self.tables = {
            name: table.iloc[rng.permutation(len(table))] for name, table in tables.items()
        }

    def parties(self, **options: Any) -> list[FeatureParty]:
        return [FeatureParty(name, table, **options) for name, table in self.tables.items()]

    def watched(self, **options: Any) -> list[WatchedParty]:
        return [WatchedParty(name, table, **options) for name, table in self.tables.items()]

    def fit(self, parties, y=None, kind=SplitNNClassifier, **parameters):
        n, y = self.n_training, self.y if y is None else y
        fit_options = {k: parameters.pop(k) for k in ("checkpoint", "resume") if k in parameters}
        return kind(**QUICK | parameters).fit(
            self.X.iloc[:n],
            y[:n],
            parties=parties,
            eval_set=[(self.X.iloc[n:], y[n:])],
            **fit_options,
        )

    def fit_pooled(self, y=None, kind=SplitNNClassifier, **parameters):
        n, y = self.n_training, self.y if y is None else y
        pooled, owner = pool_tables(self.X, self.tables)
        return kind(**QUICK | parameters).fit(
            pooled.iloc[:n],
            y[:n],
            column_owner=owner,
            eval_set=[(pooled.iloc[n:], y[n:])],
        )

    def assert_twins(self, model, parties, y=None, kind=SplitNNClassifier, **parameters) -> Any:
        """`model` is the pooled model: ``==``, never a tolerance."""
        twin = self.fit_pooled(y, kind, **parameters)
        pooled, _ = pool_tables(self.X, self.tables)
        assert np.array_equal(model.training_loss_, twin.training_loss_, equal_nan=True)
        assert model.evals_result_ == twin.evals_result_
        own, expected = weights_of(model, parties), weights_of(twin, [])
        assert own.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(own[name], tensor), name
        # questions to parties name rows in another order than the twin's own, and in single
        # precision the place of a row in a product may change its last bit: codecs round that
        exact = (QUICK | parameters)["dtype"] == "float64"
        for rows in (slice(None), slice(None, None, -3)):
            own_scores = model.raw_scores(self.X.iloc[rows], parties=parties)
            expected_scores = twin.raw_scores(pooled.iloc[rows])
            np.testing.assert_allclose(
                own_scores, expected_scores, rtol=0.0, atol=0.0 if exact else 2e-3
            )
        return twin


def weights_of(model, parties) -> dict[str, torch.Tensor]:
    """All weights of a model by owner, those that lie at its parties included."""
    head, loaded = model.label_half_, model._loaded
    owned = {"top": loaded.top.module.state_dict()}
    for bottom, weights in zip(head.bottoms, loaded.bottom_weights, strict=True):
        owned[bottom.party] = weights
    for party in parties:
        half = party.nets.store.load(head.model_id)
        owned[party.name] = decode_half(half, BottomHead, party.name)[1]
    return {f"{owner}/{name}": t for owner, tensors in owned.items() for name, t in tensors.items()}


def _table(rng, ids, prefix: str) -> pd.DataFrame:
    n = len(ids)
    table = pd.DataFrame(
        {
            "number": rng.normal(3.0, 2.0, n),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.exponential(1e4, n)),
            "constant": np.full(n, 7.0),
            "kind": rng.choice(["a", "b", "c", None], n),
            "rare": [f"town {number}" for number in rng.zipf(1.6, n).clip(1, 60)],
            "empty": np.full(n, np.nan),
        },
        index=ids,
    )
    return table.add_prefix(f"{prefix}_")


MODEL = "0123456789abcdef" * 2
IDS = [f"id{number}" for number in range(12)]
TABLE = pd.DataFrame(
    {"up": np.arange(12.0), "kind": list("ab") * 6, "gap": [1.0, np.nan] * 6}, index=IDS
)
WIDTH = 3


class Conversation:
    """A session of a feature party over `TABLE`, asked by hand, in any state."""

    def __init__(self, nets: NetTerms | None = None, table: pd.DataFrame = TABLE) -> None:
        self.nets = nets or NetTerms()
        self.table = feature_table("bureau", table, nets=self.nets)
        self.codec = TRAINER.codec()
        self.answerer = Answerer(
            "bureau",
            self.codec,
            {TRAINER.name: lambda _hello: TRAINER.open_session(self.table)},
            software_version="1",
        )
        self.ask(make_hello(TRAINER.name, "bank", "1"))

    def ask(self, request):
        frame = self.answerer.answer(self.codec.encode(request))
        return self.codec.decode(frame, "bureau")

    def matched(self):
        assert self.ask(match_rows(self.table.ids)) == Ack()
        return self

    def set_up(self, **changes):
        reply = self.matched().ask(setup(**changes))
        assert type(reply).__name__ == "BottomReady", reply
        return self


def setup(**changes) -> SetupBottom:
    return msgspec.structs.replace(
        SetupBottom(
            model_id=MODEL,
            epoch=0,
            rows=np.arange(12, dtype=np.int32),
            n_training=8,
            batch_size=4,
            batch_seed=1,
            in_flight=2,
            skips=False,
            local_steps=1,
            width=WIDTH,
            dtype="float64",
            architecture=Choice("mlp", {"hidden": (5,)}),
            optimizer="sgd",
            learning_rate=0.1,
            momentum=0.0,
            weight_decay=0.0,
            max_norm=None,
            codec="identity",
            protections=(),
            initial_seed=1,
        ),
        **changes,
    )
