"""Asks one session of a feature party by hand, request by request."""

import msgspec
import numpy as np
import pandas as pd
from support.keys import insecure_key

from parties.answerer import Answerer
from parties.messages import Ack, Failure
from parties.peer import make_hello
from parties.rows import match_rows
from secureboost.gbdt.codes import CODE_WORDS, code_set
from secureboost.gbdt.feature import FeatureSession
from secureboost.gbdt.protocol import (
    Divide,
    Finish,
    GradientBlock,
    Histograms,
    HistogramsOf,
    Ready,
    Route,
    Setup,
)
from secureboost.party import feature_table
from secureboost.trainers import get_trainer

TRAINER = get_trainer("secureboost")
N = 12
MODEL = "0123456789abcdef" * 2
IDS = [f"id{i}" for i in range(N)]
TABLE = pd.DataFrame(
    {"up": np.arange(N, dtype=float), "half": [0.0, 1.0] * (N // 2), "flat": 1.0}, index=IDS
)
COLOURS = ["red"] * 5 + ["blue"] * 4 + ["green"] * 2 + [None]
"""Codes: blue 0, green 1, red 2."""
MIXED = pd.DataFrame({"up": np.arange(N, dtype=float), "colour": COLOURS}, index=IDS)
PLAIN = insecure_key("plain", 0)


class Conversation:
    """A session over `table`, in any state."""

    def __init__(self, table=None, *, in_process=True, insecure_test_keys=True, **options):
        if table is None or isinstance(table, pd.DataFrame):
            table = feature_table("bureau", TABLE if table is None else table, **options)
        self.table = table
        self.codec = TRAINER.codec()
        self.answerer = Answerer(
            "bureau",
            self.codec,
            {
                TRAINER.name: lambda _hello: FeatureSession(
                    self.table, in_process=in_process, insecure_test_keys=insecure_test_keys
                )
            },
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
        assert isinstance(reply, Ready), reply
        return self

    def loaded(self, **changes):
        assert self.set_up(**changes).ask(block()) == Ack()
        return self

    def growing(self, **changes):
        features = tuple(range(len(self.table.columns)))
        reply = self.loaded(**changes).ask(histograms_of(features=features))
        assert isinstance(reply, Histograms), reply
        return self


def setup(**changes):
    return msgspec.structs.replace(
        Setup(
            model_id=MODEL,
            base="",
            first_split=0,
            scheme="plain",
            public_key=PLAIN.public_key.to_bytes(),
            rows=np.arange(N, dtype=np.int32),
            n_training=min(N, len(changes.get("rows", range(N))) or 1),
            max_bin=8,
            min_child_samples=2,
            min_group=3,
            max_cat_to_onehot=1,
            n_trees=2,
            cell_bits=60,
            cells=2,
            parts=1,
        ),
        **changes,
    )


def encrypt(values):
    plaintexts = np.zeros((len(values), 2), np.uint64)
    plaintexts[:, 0] = values
    return PLAIN.encrypt(plaintexts)


def block(rows=range(N), tree=0, ciphertexts=None):
    rows = np.array(list(rows), np.int32)
    if ciphertexts is None:
        ciphertexts = encrypt(rows + 1)
    return GradientBlock(tree=tree, rows=rows, ciphertexts=ciphertexts)


def histograms_of(nodes=(0,), asked=(0,), placed=None, features=(0, 1, 2), tree=0):
    if placed is None:
        placed = [0] * N
    return HistogramsOf(
        tree=tree,
        nodes=np.array(nodes, np.int32),
        asked=np.array(asked, np.int32),
        node_of_row=np.array(placed, np.uint16),
        features=np.array(features, np.int32),
    )


def divide(
    nodes=(0,), features=(0,), bins=(3,), missing_left=(0,), first_split=0, tree=0, codes=None
):
    sets = [()] * len(nodes) if codes is None else codes
    return Divide(
        tree=tree,
        first_split=first_split,
        nodes=np.array(nodes, np.int32),
        features=np.array(features, np.int32),
        bins=np.array(bins, np.int32),
        missing_left=np.array(missing_left, np.uint8),
        codes=np.array([code_set(one) for one in sets], np.uint64).reshape(-1, CODE_WORDS),
    )


def divide_by(*codes, feature=1, missing_left=0, node=0, **changes):
    """A split by categories."""
    return divide((node,), (feature,), (-1,), (missing_left,), codes=[codes], **changes)


def finish(n_splits=0, *, keep=True):
    return Finish(n_splits=n_splits, keep=keep)


def route(rows=(0, 1), model_id=MODEL):
    return Route(model_id=model_id, rows=np.array(rows, np.int32))


def bits_of(reply, n=N):
    """The first row of bits that a party answered with."""
    bits = np.atleast_2d(reply.goes_left)[0]
    return np.unpackbits(bits, count=n, bitorder="little").tolist()


def assert_refused(reply, code, text, *, ends_session=False):
    assert isinstance(reply, Failure), reply
    assert reply.code == code
    assert text in reply.detail
    assert reply.ends_session is ends_session
