"""Groups and hashes against the vectors of RFC 9380, RFC 9496 and RFC 9497.

Each file under ``vectors/`` says where it comes from.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from crypto.errors import ElementError, HashInputError
from crypto.groups import GROUPS, p256_map, sodium
from crypto.groups.expand import expand_message_xmd
from crypto.groups.ristretto import Ristretto255

VECTORS = Path(__file__).parent / "vectors"


def read(rfc):
    return json.loads((VECTORS / f"rfc{rfc}.json").read_text(encoding="utf-8"))


RFC9380, RFC9496, RFC9497 = read(9380), read(9496), read(9497)
P256_SUITE = RFC9380["P256_XMD:SHA-256_SSWU_RO_"]


VARIANTS = {**GROUPS, "ristretto255, libsodium": Ristretto255(vectors=False)}


@pytest.fixture(params=[False, None], ids=["libsodium", "as chosen"])
def ristretto(request):
    group = Ristretto255(vectors=request.param)
    if group.missing():
        pytest.skip(f"ristretto255 {group.missing()}")
    return group


def elements(*encoded):
    return np.array([list(bytes.fromhex(text)) for text in encoded], dtype=np.uint8)


@pytest.mark.parametrize("suite", RFC9380["expand_message_xmd"], ids=lambda suite: suite["hash"])
def test_expansion(suite):
    for vector in suite["vectors"]:
        uniform = expand_message_xmd(
            vector["message"].encode(), suite["tag"].encode(), vector["length"], suite["hash"]
        )
        assert uniform.hex() == vector["uniform"]
    assert {vector["length"] for vector in suite["vectors"]} == {32, 128}


@pytest.mark.parametrize(("n_bytes", "hash_name"), [(0, "sha256"), (255 * 32 + 1, "sha256")])
def test_lengths_that_cannot_be_expanded_to(n_bytes, hash_name):
    with pytest.raises(HashInputError, match=f"n_bytes={n_bytes} is not from 1 to 255 digests"):
        expand_message_xmd(b"x", b"tag", n_bytes, hash_name)
    assert len(expand_message_xmd(b"x", b"tag", 255 * 32, "sha256")) == 255 * 32


@pytest.mark.parametrize("vector", P256_SUITE["vectors"], ids=lambda vector: vector["message"][:8])
def test_the_hash_to_p256(vector):
    message, tag = vector["message"].encode(), P256_SUITE["tag"].encode()
    u = p256_map.hash_to_field(message, tag)
    first, second = (p256_map.map_to_curve(number) for number in u)
    point = p256_map.hash_to_point(message, tag)
    for numbers, expected in ((u, "u"), (first, "Q0"), (second, "Q1"), (point, "P")):
        assert [f"{int(number):064x}" for number in numbers] == vector[expected]
    hashed = GROUPS["p256"].hash_to_group([message], tag=tag)
    assert hashed[0].tobytes().hex() == vector["P"][0]


def test_multiples_of_the_generator(ristretto):
    identity, generator, *multiples = RFC9496["multiples"]
    for number, multiple in enumerate([generator, *multiples], start=1):
        scalar = ristretto.scalar_from_bytes(number.to_bytes(32, "little"))
        assert ristretto.multiply(elements(generator), scalar)[0].tobytes().hex() == multiple
    with pytest.raises(ElementError, match="element 1 of 2 is refused: it is the identity"):
        ristretto.multiply(elements(generator, identity), ristretto.random_scalar())


@pytest.mark.parametrize("encoded", RFC9496["invalid"])
def test_invalid_encodings(ristretto, encoded):
    good = RFC9496["multiples"][1]
    with pytest.raises(ElementError) as caught:
        ristretto.multiply(elements(good, encoded, good), ristretto.random_scalar())
    assert str(caught.value) == "element 1 of 3 is refused: no element has this encoding"
    assert caught.value.position == 1


def test_the_one_way_map(ristretto):
    from_hash = sodium.load().from_hash
    assert len(RFC9496["one_way_map"]) == 11
    for uniform, expected in RFC9496["one_way_map"]:
        source = np.frombuffer(bytes.fromhex(uniform), dtype=np.uint8)
        element = np.empty(32, dtype=np.uint8)
        assert from_hash(element.ctypes.data, source.ctypes.data) == 0
        assert element.tobytes().hex() == expected


@pytest.mark.parametrize("group", VARIANTS.values(), ids=VARIANTS)
def test_oblivious_pseudorandom_functions(group):
    """Their first two steps are those of the alignment: blind, then the other side multiplies."""
    if group.missing():
        pytest.skip(f"{group.name} {group.missing()}")
    assert len(RFC9497[group.name]) == 6
    for vector in RFC9497[group.name]:
        blind, key = (group.scalar_from_bytes(bytes.fromhex(vector[k])) for k in ("blind", "key"))
        # a compressed point of P-256 is a byte for y, then x
        blinded, evaluated = (vector[k][-64:] for k in ("blinded", "evaluated"))
        data, tag = bytes.fromhex(vector["input"]), bytes.fromhex(vector["tag"])
        assert group.blind([data], blind, tag=tag)[0].tobytes().hex() == blinded
        assert group.multiply(elements(blinded), key)[0].tobytes().hex() == evaluated
