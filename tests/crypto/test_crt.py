"""The Chinese remainder theorem of every engine against Python's arithmetic."""

import gmpy2
import numpy as np
import pytest
from support.keys import insecure_paillier_key

from crypto import wide
from crypto.kernels import ENGINES
from crypto.residues import pairs_to_words, words_to_pairs

AVAILABLE = [name for name, engine in ENGINES.items() if engine.available()]
PRIMES = {
    "8 bits": (251, 239),
    "8 and 9 bits": (251, 257),
    "8 and 70 bits": (251, int(gmpy2.next_prime(2**69))),
    "1024": (int(gmpy2.next_prime(2**1023)), int(gmpy2.prev_prime(2**1024))),
    "1024, the longer first": (int(gmpy2.prev_prime(2**1024)), int(gmpy2.next_prime(2**1023))),
}


def units(n, limit):
    rng = np.random.default_rng(1)
    numbers = [1, 2, n - 1, limit - 1, limit - 2]
    numbers += [int.from_bytes(rng.bytes(600), "little") % limit for _ in range(20)]
    return [number for number in numbers if gmpy2.gcd(number, n) == 1]


def words_below(numbers, limit):
    width = wide.words_for(limit.bit_length())
    return wide.from_integers([number % limit for number in numbers], width)


@pytest.fixture(params=[(name, primes) for name in AVAILABLE for primes in PRIMES], ids=str)
def crt(request):
    name, primes = request.param
    return ENGINES[name]().crt(*PRIMES[primes])


@pytest.mark.parametrize("n_jobs", [1, 2, 9])
def test_join(crt, n_jobs):
    p, q = crt.p, crt.q
    numbers = [0, p, q, p * q - 1, p - 1, q - 1, *units(p * q, p * q)]
    joined = crt.join(words_below(numbers, p), words_below(numbers, q), n_jobs=n_jobs)
    assert wide.to_integers(joined) == numbers
    none = crt.join(words_below([], p), words_below([], q), n_jobs=n_jobs)
    assert none.shape == (0, crt.words)


@pytest.mark.parametrize("n_jobs", [1, 2, 9])
def test_join_pairs(crt, n_jobs):
    n = crt.p * crt.q
    numbers = units(n, n**2)
    modulo_p, modulo_q = (
        words_to_pairs(
            wide.from_integers(
                [number % prime**2 for number in numbers], 2 * wide.words_for(prime.bit_length())
            ),
            prime,
        )
        for prime in (crt.p, crt.q)
    )
    for array in (modulo_p, modulo_q):
        array.flags.writeable = False
    joined = crt.join_pairs(modulo_p, modulo_q, n_jobs=n_jobs)
    assert wide.to_integers(pairs_to_words(joined, n)) == numbers


def test_a_key_whose_primes_differ_in_length():
    """Decryption reduces n to a much shorter prime."""
    key = insecure_paillier_key(256)
    p, q = (insecure_paillier_key(bits).p for bits in (24, 400))
    odd = type(key)(p, q)
    numbers = [0, 5, -7]
    ciphertexts = odd.encrypt(wide.from_integers(numbers, 1, signed=True))
    assert wide.to_integers(odd.decrypt(ciphertexts), signed=True) == numbers
