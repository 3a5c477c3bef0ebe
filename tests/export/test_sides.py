"""Files of sides: the scores of a prediction with the party itself, and what is refused."""

import hashlib

import msgspec
import numpy as np
import pytest

from parties.errors import PartyError, PeerRefusedError
from secureboost import FeatureParty, SecureBoostClassifier
from secureboost.errors import DataError, ModelError
from secureboost.export import sides as module
from secureboost.export.bundle import read_bundle, write_bundle
from secureboost.export.sides import check_sides, compute_sides, read_sides, write_sides
from secureboost.export.sides_party import SidesParty


@pytest.fixture
def half(model, credit):
    return credit.party.half(model.label_half_.model_id)


@pytest.fixture
def sides(half, credit):
    return compute_sides(half, credit.bureau, "bureau.csv")


@pytest.fixture
def path(sides, tmp_path):
    write_sides(sides, tmp_path / "bureau.sides")
    return tmp_path / "bureau.sides"


def test_scores_are_those_of_the_party_itself(model, path, credit):
    party = SidesParty(read_sides(path))
    check_sides(read_sides(path), model.label_half_, "bureau.sides")
    for rows in (credit.lender, credit.lender.iloc[::-3], credit.lender.iloc[5:6]):
        scores = model.decision_function(rows, parties=[party])
        assert np.array_equal(scores, model.decision_function(rows))


def test_several_classes_after_early_stopping(credit, parameters):
    model = SecureBoostClassifier(
        **{**parameters, "n_estimators": 30, "learning_rate": 1.0, "early_stopping_rounds": 2}
    )
    train, test = credit.lender.iloc[:250], credit.lender.iloc[250:]
    model.fit(
        train, credit.grade[:250], parties=[credit.party], eval_set=[(test, credit.grade[250:])]
    )
    half = credit.party.half(model.label_half_.model_id)
    sides = compute_sides(half, credit.bureau.drop(index=train.index), "new.csv")
    check_sides(sides, model.label_half_, "bureau.sides")
    found = model.predict_proba(test, parties=[SidesParty(sides)])
    assert np.array_equal(found, model.predict_proba(test))


def test_new_rows_with_other_categories_and_more_columns(model, half, credit):
    new = credit.bureau.assign(more=1.0)
    new.iloc[::5, 1] = "a sector that is new"
    sides = compute_sides(half, new, "new.csv")
    twin = FeatureParty("bureau", new.drop(columns="more"))
    twin.store.save(half)
    expected = model.decision_function(credit.lender, parties=[twin])
    found = model.decision_function(credit.lender, parties=[SidesParty(sides)])
    assert np.array_equal(found, expected)


def test_a_bundle_is_the_half_and_an_explanation(half, credit, tmp_path):
    write_bundle(half, tmp_path / "bundle")
    assert read_bundle(tmp_path / "bundle") == half
    assert read_bundle(tmp_path / "bundle" / "half.json") == half
    text = (tmp_path / "bundle" / "README.txt").read_text()
    assert half.model_id in text
    assert "sector (categories)" in text
    assert "income (numbers)" in text
    with pytest.raises(ModelError, match="no such file"):
        read_bundle(tmp_path)


def test_rows_that_the_file_lacks(model, sides, credit):
    fewer = msgspec.structs.replace(sides, ids=sides.ids[:8], bits=sides.goes_left[:, :1].tobytes())
    with pytest.raises(DataError, match="bureau"):
        model.decision_function(credit.lender, parties=[SidesParty(fewer)])


def test_a_party_in_a_file_answers_nothing_else(model, sides, credit):
    other = msgspec.structs.replace(sides, model_id="e" * 32)
    with pytest.raises(PeerRefusedError, match="the file has sides for model e"):
        model.decision_function(credit.lender, parties=[SidesParty(other)])
    with pytest.raises(PartyError, match="Setup"):
        SecureBoostClassifier(n_estimators=1, scheme="plain").fit(
            credit.lender, credit.bad, parties=[SidesParty(sides)]
        )


def test_columns_and_ids_are_checked(half, credit):
    with pytest.raises(DataError, match=r"new.csv: .*'income'"):
        compute_sides(half, credit.bureau.drop(columns="income"), "new.csv")
    with pytest.raises(DataError, match=r"new.csv"):
        compute_sides(half, credit.bureau.iloc[[0, 0]], "new.csv")
    with pytest.raises(DataError, match="'income' holds text"):
        compute_sides(half, credit.bureau.assign(income="much"), "new.csv")


def test_sides_of_another_half(model, sides):
    label = model.label_half_
    for changes, match in (
        ({"party": "telco"}, "sides of party 'telco'"),
        ({"model_id": "e" * 32}, "for model e"),
        ({"half_digest": "0" * 64}, "another half"),
        ({"n_splits": sides.n_splits + 1}, "another half"),
    ):
        with pytest.raises(ModelError, match=match):
            check_sides(msgspec.structs.replace(sides, **changes), label, "bureau.sides")


def written(path, message):
    path.write_bytes(module._HEAD + hashlib.sha256(message).digest() + message)


def test_hostile_files(path, sides):
    good = path.read_bytes()

    def refused(match):
        with pytest.raises(ModelError, match=match):
            read_sides(path)

    path.write_bytes(b"PK\x03\x04" + good)
    refused("holds no sides")
    path.write_bytes(good[:-1])
    refused("damaged or was cut off")
    path.write_bytes(good[:50])
    refused("damaged or was cut off")
    flipped = bytearray(good)
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    refused("damaged or was cut off")

    def changed(**changes):
        written(path, msgspec.msgpack.encode(msgspec.structs.replace(sides, **changes)))

    changed(n_splits=2**31 - 1)
    refused("take 122406567879 bytes, and there are")
    changed(n_splits=-1)
    refused("holds no sides")
    changed(ids=(*sides.ids[:-1], sides.ids[0]))
    refused("an id stands there twice")
    changed(ids=())
    refused("holds no sides")
    changed(bits=sides.bits + b"\0")
    refused("bytes, and there are")
    changed(half_digest="x")
    refused("holds no sides")
    changed(model_id="../../etc/passwd")
    refused("holds no sides")
    written(path, msgspec.msgpack.encode([1, 2]))
    refused("holds no sides")
    written(path, b"\xdd\xff\xff\xff\xff")  # a list of four thousand million things
    refused("holds no sides")
    written(path, b"\x91" * 100_000)
    refused("holds no sides")
    path.unlink()
    refused("cannot be read")
