"""What crosses between the companies, read from the recorded frames of a whole run."""

import numpy as np
import pandas as pd
import pytest
from support.federation import INSECURE_BITS, InsecureKeyClassifier, WatchedParty
from support.keys import insecure_paillier_key

from parties.catalogue import reveals
from parties.messages import Ack, Goodbye, Hello, MatchRows, Welcome
from secureboost import joined_trees
from secureboost.binning import BinMapper
from secureboost.gbdt.protocol import (
    MESSAGES,
    Divide,
    Finish,
    GradientBlock,
    Histograms,
    HistogramsOf,
    Route,
    Setup,
)
from secureboost.trainers import get_trainer

TRAINER = get_trainer("secureboost")
KEY = insecure_paillier_key(INSECURE_BITS)
N = 160


class Run:
    """One training and one prediction, recorded."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        ids = [f"customer-{number:06d}" for number in rng.permutation(10**6)[:N]]
        self.lender = pd.DataFrame(
            rng.normal(size=(N, 2)), index=ids, columns=["lender_income", "lender_age"]
        )
        self.bureau = pd.DataFrame(
            rng.normal(size=(N, 2)), index=ids, columns=["bureau_debt", "bureau_limit"]
        )
        noise = rng.normal(scale=1.5, size=N)
        score = self.lender["lender_income"] + 2 * self.bureau["bureau_debt"] + noise
        self.y = pd.Series(np.where(score > 0, "defaulted", "repaid"), index=ids)
        self.party = WatchedParty("bureau", self.bureau.sample(frac=1, random_state=0))
        self.model = InsecureKeyClassifier(
            n_estimators=3, max_depth=3, max_bin=8, subsample=0.9, random_state=1
        )
        self.model.fit(self.lender, self.y, parties=[self.party])
        self.model.predict(self.lender.iloc[:40])
        self.frames = [
            frame
            for transport in self.party.transports
            for exchange in transport.exchanges
            for frame in (exchange.request, exchange.reply)
        ]
        self.messages = self.party.messages(TRAINER)

    def all_messages(self):
        return [message for exchange in self.messages for message in exchange]

    def ciphertexts(self, kind):
        return np.vstack([m.ciphertexts for m in self.all_messages() if isinstance(m, kind)])


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


@pytest.mark.parametrize("message", TRAINER.codec().message_types, ids=lambda m: m.__name__)
def test_every_message_says_what_it_reveals(message):
    assert len(reveals(message)) >= len("nothing")


def test_the_catalogue_is_complete():
    assert TRAINER.messages == MESSAGES


def test_only_the_declared_fields_travel(run):
    codec = TRAINER.codec()
    for frame in run.frames:
        assert codec.encode(codec.decode(frame, "test")) == frame


def test_the_order_of_requests(run):
    training, prediction = (
        [type(codec_message) for codec_message in _requests(transport)]
        for transport in run.party.transports
    )
    assert training[:3] == [Hello, MatchRows, Setup]
    assert set(training[3:-2]) == {GradientBlock, HistogramsOf, Divide}
    assert training[-2:] == [Finish, Goodbye]
    assert prediction == [Hello, MatchRows, Route, Goodbye]


def _requests(transport):
    codec = TRAINER.codec()
    return [codec.decode(exchange.request, "test") for exchange in transport.exchanges]


def encodings(values):
    """Every value by itself, as a float or as text."""
    for value in map(float, np.ravel(values)):
        if np.isfinite(value):
            yield np.float64(value).tobytes()
            yield np.float32(value).tobytes()
            yield repr(value).encode()
            yield f"{value:.6g}".encode()


def plain_parts(run):
    """Fields of all messages without the ciphertexts, in which any short pattern occurs."""
    for message in run.all_messages():
        for field in message.__struct_fields__:
            value = getattr(message, field)
            if field in {"ciphertexts", "public_key", "digest", "digest_key"}:
                continue
            yield value.tobytes() if isinstance(value, np.ndarray) else str(value).encode()


def assert_absent(run, patterns):
    text = b"|".join(run.frames)
    parts = b"|".join(plain_parts(run))
    found = [p for p in patterns if p in (text if len(p) >= 8 else parts)]
    assert not found


def test_no_raw_value_travels(run):
    assert_absent(run, encodings(run.lender.to_numpy()))
    assert_absent(run, encodings(run.bureau.to_numpy()))


def test_no_threshold_and_no_leaf_value_travels(run):
    half = run.party.half(run.model.label_half_.model_id)
    trees = joined_trees(run.model.label_half_, [half])
    thresholds = np.concatenate([tree["threshold"][tree["left"] >= 0] for tree in trees])
    leaves = np.concatenate([tree["value"][tree["left"] < 0] for tree in trees])
    assert len(thresholds) > 5
    assert len({*np.concatenate([tree["party"] for tree in trees])}) == 2
    assert_absent(run, encodings(thresholds))
    assert_absent(run, encodings(leaves))
    assert_absent(run, encodings([run.model.label_half_.base_score]))


def test_no_name_and_no_id_travels(run):
    names = [*run.lender.columns, *run.bureau.columns, *run.lender.index, "defaulted", "repaid"]
    assert_absent(run, [name.encode() for name in names])


def test_no_label_travels(run):
    labels = (run.y == "repaid").to_numpy()
    order = run.party.index.get_indexer(run.y.index)
    for values in (labels, ~labels, labels[np.argsort(order)], ~labels[np.argsort(order)]):
        patterns = [values.astype(kind)[:24].tobytes() for kind in "?bBhHiIqQfd"]
        patterns += [
            np.packbits(values, bitorder=order)[:10].tobytes() for order in ("big", "little")
        ]
        patterns.append("".join("1" if value else "0" for value in values[:24]).encode())
        assert_absent(run, patterns)


def test_no_secret_of_the_key_travels(run):
    p, q = KEY.p.value, KEY.q.value
    n = p * q
    patterns = []
    for secret in (p, q, (p - 1) * (q - 1), pow(p, -1, q), pow(q, -1, p)):
        size = (secret.bit_length() + 7) // 8
        patterns += [secret.to_bytes(size, "big"), secret.to_bytes(size, "little")]
        patterns += [str(secret).encode(), f"{secret:x}".encode()]
    assert_absent(run, patterns)
    setup = next(message for message, _ in run.messages if isinstance(message, Setup))
    assert n.to_bytes(32, "little") in setup.public_key or n.to_bytes(32, "big") in setup.public_key


def test_equal_gradients_have_different_ciphertexts(run):
    words = run.ciphertexts(GradientBlock)
    assert len(np.unique(words, axis=0)) == len(words)
    # the first tree has two gradients only, one for each class
    first = [m for m in run.all_messages() if isinstance(m, GradientBlock) and m.tree == 0]
    plaintexts = KEY.decrypt(np.vstack([m.ciphertexts for m in first]))
    assert len(np.unique(plaintexts, axis=0)) == 2


def test_histograms_are_unlinkable_to_their_summands(run):
    """The label party could rebuild sums that are not re-randomised from its own ciphertexts."""
    setup = next(m for m, _ in run.messages if isinstance(m, Setup))
    table = run.party._table.columns[:, setup.rows].T
    ready = next(reply for request, reply in run.messages if isinstance(request, Setup))
    mapper = BinMapper.fit(table, setup.max_bin)
    assert ready.n_bins.tolist() == mapper.n_bins.tolist()
    blocks = [m for m, _ in run.messages if isinstance(m, GradientBlock) and m.tree == 0]
    ciphertexts = np.zeros((N, KEY.public_key.ciphertext_words), np.uint64)
    active = np.concatenate([block.rows for block in blocks])
    ciphertexts[active] = np.vstack([block.ciphertexts for block in blocks])
    cells = [
        active[column[active] == cell]
        for column, n_bins in zip(mapper.transform(table), mapper.n_bins, strict=True)
        for cell in [*range(n_bins), setup.max_bin]
    ]
    starts = np.cumsum([0, *map(len, cells)])
    sums = KEY.public_key.sum_by_segment(ciphertexts, np.concatenate(cells).astype(int), starts)
    packed = KEY.public_key.pack(sums, setup.cell_bits, setup.cells)
    sent = next(reply for _, reply in run.messages if isinstance(reply, Histograms)).ciphertexts
    assert np.array_equal(KEY.decrypt(packed), KEY.decrypt(sent))
    assert not (packed == sent).all(axis=1).any()
    known = {row.tobytes() for row in np.vstack([packed, sums, ciphertexts])}
    assert not any(row.tobytes() in known for row in sent)


def test_two_runs_with_the_same_inputs_share_no_ciphertext(run):
    again = Run()
    for kind in (GradientBlock, Histograms):
        first, second = run.ciphertexts(kind), again.ciphertexts(kind)
        assert first.shape == second.shape
        both = np.vstack([first, second])
        assert len(np.unique(both, axis=0)) == len(both)
    numbers = [
        [m.tolist() for x in r.all_messages() if isinstance(x, Divide) for m in (x.nodes, x.bins)]
        for r in (run, again)
    ]
    assert numbers[0] == numbers[1]
    assert run.model.label_half_.model_id != again.model.label_half_.model_id


def test_no_trivial_encryption_leaves_the_party(run):
    words = run.ciphertexts(Histograms)
    half = words.shape[1] // 2
    ones = (words[:, 0] == 1) & ~words[:, 1:half].any(axis=1)  # 1 + m n: decrypts without a key
    assert not ones.any()


def test_prediction_tells_the_rows_and_the_model_only(run):
    (request,) = [m for m, _ in run.messages if isinstance(m, Route)]
    assert request.__struct_fields__ == ("model_id", "rows")
    assert set(run.party.index[request.rows]) == set(run.lender.index[:40])
    assert (np.diff(request.rows) > 0).all()  # not in the order of the label party's table


def test_neither_side_learns_anything_from_the_greeting(run):
    for request, reply in run.messages:
        if isinstance(request, Hello):
            assert (request.party, request.trainer) == ("label-party", "secureboost")
            assert isinstance(reply, Welcome)
            assert reply.party == "bureau"
        if isinstance(request, MatchRows | GradientBlock | Goodbye):
            assert reply == Ack()


def test_reprs_and_logs_show_no_content(run, caplog):
    for message in run.all_messages():
        assert len(repr(message)) < 700
        assert "array" not in repr(message)
    text = " ".join(repr(thing) for thing in (run.party, run.model, KEY, *run.party.services))
    for secret in ("bureau_debt", "lender_income", "customer-", str(KEY.p.value), "defaulted"):
        assert secret not in text
    with caplog.at_level("DEBUG"):
        Run()
    for secret in ("bureau_", "lender_", "customer-", "defaulted", "threshold"):
        assert secret not in caplog.text
