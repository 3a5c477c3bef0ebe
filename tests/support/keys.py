"""Test keys, made once per process. Their lengths protect nothing."""

from functools import cache

from crypto.blind_rsa import generate_signing_key, insecure_test_signing_key
from crypto.blind_rsa_private import SigningKey
from crypto.paillier_private import PaillierPrivateKey
from crypto.scheme import PrivateKey
from crypto.schemes import SCHEMES


@cache
def insecure_key(scheme: str, key_bits: int) -> PrivateKey:
    return SCHEMES[scheme].insecure_test_key(key_bits)


@cache
def insecure_paillier_key(key_bits: int) -> PaillierPrivateKey:
    key = insecure_key("paillier", key_bits)
    assert isinstance(key, PaillierPrivateKey)
    return key


@cache
def full_paillier_key() -> PaillierPrivateKey:
    key = SCHEMES["paillier"].generate(2048)
    assert isinstance(key, PaillierPrivateKey)
    return key


@cache
def insecure_signing_key(key_bits: int) -> SigningKey:
    return insecure_test_signing_key(key_bits)


@cache
def full_signing_key() -> SigningKey:
    return generate_signing_key(2048)
