"""Primes whose group is known, so that powers of a generator can be tabulated.

A prime is drawn as ``p = 2 * s * p' + 1`` (b bits in all):

1. ``p'`` is uniform among the primes of exactly ``b - 1 - S`` bits, with ``S = min(32, b // 4)``;
2. ``s`` is uniform among the numbers that put ``p`` into ``[sqrt(2) * 2**(b-1), 2**b)``, redrawn
   until ``p`` is prime (after ``8 * b`` failures step 1 begins again);
3. ``s`` has at most ``S + 1`` bits and is factored by trial division.

So all prime factors of ``p - 1`` are known and a primitive root can be recognised. The lower limit
makes the product of two such primes have exactly ``2 * b`` bits. That primes have this form is part
of the assumption under which Paillier is secure here (decisional composite residuosity for such
moduli); ``s = 1`` would be the safe primes of the literature, and the 32 random bits only make the
search quick. Primality is decided by GMP: Baillie-PSW and then Miller-Rabin rounds, which err on a
random number with probability far below ``4**-40``.
"""

import math
import secrets
from dataclasses import dataclass

import gmpy2
from gmpy2 import mpz

COFACTOR_BITS = 32
ROUNDS = 64  # GMP counts Baillie-PSW as 24 of them
SMALLEST_BITS = 8


@dataclass(frozen=True, repr=False)
class KnownPrime:
    """A prime with, where it is known, a generator of its multiplicative group.

    Attributes
    ----------
    value : int
    primitive_root : int or None
        Its powers are all numbers from 1 to ``value - 1``. None for a prime made elsewhere, whose
        ``value - 1`` nobody factored.
    """

    value: int
    primitive_root: int | None


def is_prime(number: int) -> bool:
    """Tell whether a number is prime, wrongly with negligible probability."""
    return bool(gmpy2.is_prime(mpz(number), ROUNDS))


def random_known_prime(bits: int) -> KnownPrime:
    """Draw a prime by the law in the module's docstring, with randomness of the operating system.

    Parameters
    ----------
    bits : int
        Exact length, at least 8.
    """
    if bits < SMALLEST_BITS:
        raise ValueError(f"bits={bits} must be at least {SMALLEST_BITS}")
    cofactor_bits = min(COFACTOR_BITS, bits // 4)
    lowest = math.isqrt(1 << (2 * bits - 1)) + 1  # sqrt(2) * 2**(bits - 1), rounded up
    while True:
        large = _random_prime(bits - 1 - cofactor_bits)
        least = -(-(lowest - 1) // (2 * large))
        count = ((1 << bits) - 2) // (2 * large) - least + 1
        for _ in range(8 * bits if count > 0 else 0):
            cofactor = least + secrets.randbelow(count)
            prime = 2 * cofactor * large + 1
            if is_prime(prime):
                factors = {2, large, *_prime_factors(cofactor)}
                return KnownPrime(prime, _random_primitive_root(prime, factors))


def _random_prime(bits: int) -> int:
    while True:
        number = secrets.randbits(bits) | (1 << (bits - 1)) | 1
        if is_prime(number):
            return number


def _prime_factors(number: int) -> set[int]:
    """Factor by trial division: at most 2**16.5 steps, since `number` has at most 33 bits."""
    factors = set()
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.add(divisor)
            number //= divisor
        divisor += 1
    return factors | ({number} if number > 1 else set())


def _random_primitive_root(prime: int, factors: set[int]) -> int:
    """Draw a uniform generator of the group modulo `prime`."""
    while True:
        root = 1 + secrets.randbelow(prime - 1)
        if all(gmpy2.powmod(root, (prime - 1) // factor, prime) != 1 for factor in factors):
            return root
