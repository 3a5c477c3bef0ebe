"""Where a feature party keeps its bottoms, and the files of halves."""

import json
import os
from pathlib import Path

import msgspec
import pytest
import torch

from secureboost.errors import ConfigError, ModelError
from secureboost.splitnn.inputs import Preparation
from secureboost.splitnn.model import (
    BottomHead,
    TopHead,
    decode_half,
    encode_half,
    half_digest,
    read_half,
    read_head,
    save_half,
)
from secureboost.splitnn.options import Choice
from secureboost.splitnn.policy import NetBudget, NetPolicy, NetSpending
from secureboost.splitnn.store import FolderBottoms, MemoryBottoms
from secureboost.splitnn.terms import NetTerms

MODEL, OTHER = "a" * 32, "b" * 32
HEAD = BottomHead(
    model_id=MODEL,
    party="bureau",
    architecture=Choice("mlp", {"hidden": (3,), "dropout": 0.5}),
    width=2,
    dtype="float32",
    codec="identity",
    protections=(Choice("x"),),
    preparation=Preparation(
        names=("a", "b"),
        means=(0.1, 0.0),
        scales=(1 / 3, 1.0),
        gaps=(True, False),
        categories=(None, ("k", "ü")),
    ),
)


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    return MemoryBottoms() if request.param == "memory" else FolderBottoms(tmp_path / "halves")


def test_halves_and_the_latest_two_checkpoints(store):
    assert store.load(MODEL) is None
    assert store.kept(MODEL, 1) is None
    for epoch in range(1, 5):
        store.keep(MODEL, epoch, f"{epoch}".encode())
        store.keep(OTHER, epoch, b"other")
    assert [store.kept(MODEL, epoch) for epoch in range(1, 5)] == [None, None, b"3", b"4"]
    store.keep(MODEL, 3, b"again")
    assert [store.kept(MODEL, epoch) for epoch in (3, 4)] == [b"again", None]
    store.save(MODEL, b"half")
    assert store.load(MODEL) == b"half"
    assert store.kept(MODEL, 3) is None
    assert store.kept(OTHER, 4) == b"other"
    store.forget(OTHER)
    store.forget(OTHER)
    assert store.kept(OTHER, 4) is None
    assert store.load(OTHER) is None


def test_the_oldest_unfinished_models_are_dropped(store):
    models = [digit * 32 for digit in "abcd"]
    assert store.drop_oldest(1, MODEL) == []
    for model_id in models:
        store.keep(model_id, 1, b"1")
        if isinstance(store, FolderBottoms):  # the clock of files is coarse
            path = store.folder / "unfinished" / f"{model_id}.1.safetensors"
            os.utime(path, ns=(0, ord(model_id[0])))
    assert store.drop_oldest(4, models[0]) == []
    # what was just kept is the newest
    assert store.drop_oldest(2, models[0]) == [models[1], models[2]]
    assert [store.kept(model_id, 1) for model_id in models] == [b"1", None, None, b"1"]


def test_files_are_their_owners_alone(tmp_path):
    store = FolderBottoms(tmp_path / "halves")
    store.keep(MODEL, 1, b"1")
    store.save(MODEL, b"half")
    assert (tmp_path / "halves").stat().st_mode & 0o777 == 0o700
    assert store.path(MODEL).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../" + "a" * 29, "A" * 32, "a" * 31, ""])
def test_a_model_id_is_no_path(tmp_path, name):
    store = FolderBottoms(tmp_path)
    for ask in (store.load, store.path, store.forget):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            ask(name)


def test_a_half_survives_bit_for_bit(tmp_path):
    tensors = {"w": torch.tensor([0.1, -0.0, 1e-45]), "b": torch.eye(2, dtype=torch.float64)}
    half = encode_half(HEAD, tensors)
    save_half(half, tmp_path / "half")
    head, back = decode_half(read_half(tmp_path / "half"), BottomHead, "half")
    assert head == HEAD
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert encode_half(head, back) == half
    assert json.loads(read_head(half))["model_id"] == MODEL
    other = encode_half(msgspec.structs.replace(HEAD, salt="c" * 32), tensors)
    assert half_digest(half) != half_digest(other)


def broken(change) -> bytes:
    half = encode_half(HEAD, {"w": torch.zeros(2)})
    return change(half)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda half: b"", "is not a file of that kind"),
        (lambda half: half[:20], "is not a file of that kind"),
        (lambda half: half[:-1], "is not a file of that kind"),
        (lambda half: b"\xff" * 100, "is not a file of that kind"),
        (lambda half: half.replace(b'version\\":1', b'version\\":2'), "model version 2"),
        (lambda half: half.replace(b'width\\":2', b'width\\":0'), "is not a file of that kind"),
    ],
)
def test_damaged_halves_are_refused(change, text):
    with pytest.raises(ModelError, match=text):
        decode_half(broken(change), BottomHead, "half")


def test_a_half_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is not a file of that kind"):
        decode_half(encode_half(HEAD, {}), TopHead, "half")
    with pytest.raises(ModelError, match="no such file"):
        read_half(tmp_path / "absent")
    with pytest.raises(ModelError, match="cannot be read"):
        read_half(Path(tmp_path))


def test_budgets_count_and_are_kept():
    kept = []
    policy = NetPolicy(max_exchanges=2, max_evaluated_rows=10)
    budget = NetBudget(policy, NetSpending(exchanges=1), kept.append)
    assert budget.spend_exchange()
    assert not budget.spend_exchange()
    assert budget.spend_rows(10)
    assert not budget.spend_rows(1)
    assert budget.spent == NetSpending(exchanges=2, evaluated_rows=10)
    assert kept == [NetSpending(2, 0), NetSpending(2, 10)]


@pytest.mark.parametrize(
    "limits", [{"min_batch_rows": 0}, {"max_width": True}, {"max_exchanges": 1.5}]
)
def test_limits_are_whole_numbers(limits):
    (name,) = limits
    with pytest.raises(ConfigError, match=rf"nets\.{name}: .* whole number of at least 1"):
        NetPolicy(**limits)


def test_terms_count_by_their_policy():
    terms = NetTerms(NetPolicy(max_exchanges=1))
    assert terms.budget.spend_exchange()
    assert not terms.budget.spend_exchange()
    with pytest.raises(ConfigError, match=r"nets\.threads: is 0"):
        NetTerms(threads=0)
