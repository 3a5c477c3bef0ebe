"""Uniform random numbers of many words, from the operating system, whole arrays at once."""

import os

import gmpy2
import numpy as np

from crypto import wide
from crypto.kernels import SquareModulus
from crypto.wide import Words


def below(limit: int, count: int) -> Words:
    """Draw independent numbers, uniform from 0 to ``limit - 1``, by rejection.

    As many bits as ``limit - 1`` has are drawn for each; what is not below the limit, less than
    half of all, is drawn again.

    Parameters
    ----------
    limit : int
        At least 1.
    count : int

    Returns
    -------
    array of shape (count, words), uint64
        `words` holds ``limit - 1``, and is at least 1.
    """
    bits = (limit - 1).bit_length()
    numbers = np.empty((count, max(1, wide.words_for(bits))), dtype=np.uint64)
    missing = count
    while missing:
        drawn = random_bits(bits, (missing << bits) // limit + 1, numbers.shape[1])
        good = drawn[wide.are_below(drawn, limit)][:missing]
        numbers[count - missing : count - missing + len(good)] = good
        missing -= len(good)
    return numbers


def units(modulus: SquareModulus, count: int) -> Words:
    """Draw independent numbers, uniform among the units modulo the root of `modulus`.

    Returns
    -------
    array of shape (count, words), uint64
    """
    numbers = below(modulus.root, count)
    while not modulus.all_units(numbers, n_jobs=1):
        # Only with keys of a few bits: each number that is no unit is drawn again.
        bad = [gmpy2.gcd(number, modulus.root) != 1 for number in wide.to_mpz(numbers)]
        numbers[bad] = below(modulus.root, sum(bad))
    return numbers


def random_bits(bits: int, count: int, words: int) -> Words:
    """Draw numbers uniform below ``2**bits``, in rows of `words` words."""
    data = bytearray(os.urandom(count * words * wide.WORD_BYTES))
    numbers = np.frombuffer(data, dtype=np.uint64).reshape(count, words)
    whole, rest = divmod(bits, wide.WORD_BITS)
    if rest:
        numbers[:, whole] &= np.uint64((1 << rest) - 1)
    numbers[:, whole + (rest > 0) :] = 0
    return numbers
