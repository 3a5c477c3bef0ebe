"""The Chinese remainder theorem for pairs of primes, on whole arrays."""

import gmpy2
from gmpy2 import mpz

from crypto import wide
from crypto.residues import pairs_to_words, words_to_pairs
from crypto.wide import Words


class Crt:
    """From residues modulo p and q to residues modulo ``n = p * q``.

    Parameters
    ----------
    p, q : int
        Different odd primes.

    Attributes
    ----------
    words : int
        Words of a number below n.
    """

    def __init__(self, p: int, q: int) -> None:
        self.p, self.q = p, q
        self.words = wide.words_for((p * q).bit_length())

    def join(self, modulo_p: Words, modulo_q: Words, *, n_jobs: int) -> Words:
        """Find the numbers below n with these residues modulo p and q.

        Parameters
        ----------
        modulo_p, modulo_q : arrays of shape (count, any), uint64
            Below p and q.

        Returns
        -------
        array of shape (count, words), uint64
        """
        joined = _join(wide.to_mpz(modulo_p), wide.to_mpz(modulo_q), mpz(self.p), mpz(self.q))
        return wide.from_integers(joined, self.words)

    def join_pairs(self, modulo_p: Words, modulo_q: Words, *, n_jobs: int) -> Words:
        """Find the units modulo ``n**2`` with these residues modulo ``p**2`` and ``q**2``.

        Parameters
        ----------
        modulo_p, modulo_q : arrays of shape (count, any), uint64
            Pairs modulo ``p**2`` and ``q**2``.

        Returns
        -------
        array of shape (count, 2 * words), uint64
            Pairs modulo ``n**2``.
        """
        xs = wide.to_mpz(pairs_to_words(modulo_p, self.p))
        ys = wide.to_mpz(pairs_to_words(modulo_q, self.q))
        joined = _join(xs, ys, mpz(self.p) ** 2, mpz(self.q) ** 2)
        return words_to_pairs(wide.from_integers(joined, 2 * self.words), self.p * self.q)


def _join(xs: list[mpz], ys: list[mpz], p: mpz, q: mpz) -> list[mpz]:
    inverse = gmpy2.invert(q, p)
    return [y + (x - y) * inverse % p * q for x, y in zip(xs, ys, strict=True)]
