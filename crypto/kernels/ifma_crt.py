"""The Chinese remainder theorem, eight numbers at a time.

With ``u = (x - y) / q mod p`` the number with residues x and y is ``y + q u``; modulo n that is one
product and one sum.

For pairs let ``c = a (1 + t n)`` have the residues ``a_p (1 + t_p p)`` modulo ``p**2`` and
``a_q (1 + t_q q)`` modulo ``q**2``. Then a has the residues ``a_p`` and ``a_q``, so it is
``a_p + p u'`` with ``u' = (a_q - a_p) / p mod q``, and from
``a_p (1 + t_p p) = (a_p + p u') (1 + t n)`` modulo ``p**2`` follows

    t = (t_p - u' / a_p) / q  modulo p

and likewise modulo q.
"""

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.arrays import frozen
from crypto.kernels.crt import Crt
from crypto.kernels.ifma_constants import WORK, IfmaConstants
from crypto.kernels.ifma_emit import LANES, PAD
from crypto.kernels.ifma_lanes import (
    add,
    clear,
    put_words,
    reduce_once,
    subtract,
    take_pair,
    take_words,
)
from crypto.kernels.ifma_products import multiply
from crypto.kernels.ifma_settle import to_pairs
from crypto.kernels.threads import over_ranges
from crypto.wide import Words, words_for

X, Y, MULTIPLE, FACTOR, SLOTS = WORK, WORK + 1, WORK + 2, WORK + 3, WORK + 4


class IfmaCrt(Crt):
    """From residues modulo two primes of about the same length to residues modulo n."""

    def __init__(self, p: int, q: int) -> None:
        super().__init__(p, q)
        self._p, self._q, self._n = (IfmaConstants(m) for m in (p, q, p * q))
        self._inverses = {p: pow(p, -1, q), q: pow(q, -1, p)}

    @staticmethod
    def fits(p: int, q: int) -> bool:
        """Tell whether each prime fits the digits of the other."""
        return abs(p.bit_length() - q.bit_length()) < 2

    def join(self, modulo_p: Words, modulo_q: Words, *, n_jobs: int) -> Words:
        """Find the numbers below n with these residues modulo p and q."""
        modulo_p, modulo_q = frozen(modulo_p), frozen(modulo_q)
        joined = np.empty((len(modulo_p), self.words), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            part = slice(first, end)
            p_space = _difference_space(self._p, self.q, self._inverses[self.q])
            n_space = self._n.workspace(SLOTS)
            self._n.set(n_space, FACTOR, self.q * self._n.radix % self._n.modulus)
            join_all(
                p_space,
                self._p.limbs,
                n_space,
                self._n.limbs,
                modulo_p[part],
                modulo_q[part],
                joined[part],
            )

        over_ranges(work, len(joined), n_jobs, multiple=LANES)
        return joined

    def join_pairs(self, modulo_p: Words, modulo_q: Words, *, n_jobs: int) -> Words:
        """Find the units modulo ``n**2`` with these residues modulo ``p**2`` and ``q**2``."""
        p_low, p_high = (frozen(half) for half in np.hsplit(modulo_p, 2))
        q_low, q_high = (frozen(half) for half in np.hsplit(modulo_q, 2))
        t_p = self._t(self._p, self._q, p_low, p_high, q_low, n_jobs)
        t_q = self._t(self._q, self._p, q_low, q_high, p_low, n_jobs)
        return np.hstack(
            [self.join(p_low, q_low, n_jobs=n_jobs), self.join(t_p, t_q, n_jobs=n_jobs)]
        )

    def _t(
        self,
        prime: IfmaConstants,
        other: IfmaConstants,
        low: Words,
        high: Words,
        other_low: Words,
        n_jobs: int,
    ) -> Words:
        """Compute ``(t_p - u' / a_p) / q modulo p``."""
        words = words_for(prime.modulus.bit_length())
        values = np.empty((len(low), 2 * prime.limbs), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            part = slice(first, end)
            space = _difference_space(other, prime.modulus, self._inverses[prime.modulus])
            quotients = np.empty((end - first, other_low.shape[1]), dtype=np.uint64)
            scale_differences(space, other.limbs, other_low[part], low[part], quotients)
            quotients = frozen(quotients)
            space = _difference_space(prime, other.modulus, 1)
            negate_high(space, prime.limbs, low[part], quotients, values[part])

        over_ranges(work, len(low), n_jobs, multiple=LANES)
        pairs = to_pairs(prime, values, high, words, n_jobs)
        highs = frozen(pairs[:, words:])
        result = np.empty((len(low), words), dtype=np.uint64)
        nothing = frozen(np.zeros((1, 1), dtype=np.uint64))

        def finish(first: int, end: int) -> None:
            part = slice(first, end)
            space = _difference_space(prime, other.modulus, self._inverses[other.modulus])
            scale_differences(space, prime.limbs, highs[part], nothing, result[part])

        over_ranges(finish, len(low), n_jobs, multiple=LANES)
        return result


def _difference_space(constants: IfmaConstants, subtrahend: int, factor: int) -> Words:
    """Return a workspace for differences ``x - y`` times a factor.

    Parameters
    ----------
    constants : IfmaConstants
    subtrahend : int
        Above every y.
    factor : int
    """
    modulus = constants.modulus
    workspace = constants.workspace(SLOTS)
    constants.set(workspace, MULTIPLE, -(-subtrahend // modulus) * modulus)
    constants.set(workspace, FACTOR, factor * constants.radix % modulus)
    return workspace


@kernel
def scale_differences(
    workspace: NDArray[uint64],
    limbs: int,
    xs: NDArray[uint64],
    ys: NDArray[uint64],
    results: NDArray[uint64],
) -> None:
    """Compute ``(x - y) * factor`` modulo m.

    Parameters
    ----------
    workspace : array
        From `_difference_space`.
    xs : array of shape (count, any), uint64
        In words.
    ys : array of shape (count or 1, any), uint64
        One row stands for all.
    results : array of shape (count, words), uint64
        Written.
    """
    for first in range(0, xs.shape[0], LANES):
        lanes = min(LANES, xs.shape[0] - first)
        for lane in range(lanes):
            put_words(workspace, limbs, X, lane, xs[first + lane], 0)
            put_words(workspace, limbs, Y, lane, ys[min(first + lane, ys.shape[0] - 1)], 0)
        _scale_difference(workspace, limbs)
        for lane in range(lanes):
            take_words(workspace, limbs, X, lane, results[first + lane])


@kernel
def negate_high(
    workspace: NDArray[uint64],
    limbs: int,
    lows: NDArray[uint64],
    highs: NDArray[uint64],
    values: NDArray[uint64],
) -> None:
    """Write lazy pairs ``low - high * m`` in digits; `workspace` from `_difference_space`."""
    for first in range(0, lows.shape[0], LANES):
        lanes = min(LANES, lows.shape[0] - first)
        for lane in range(lanes):
            put_words(workspace, limbs, X, lane, lows[first + lane], 0)
            put_words(workspace, limbs, Y, lane, highs[first + lane], 0)
        subtract(workspace, limbs, Y, MULTIPLE, Y)
        for lane in range(lanes):
            take_pair(workspace, limbs, X, lane, values[first + lane])


@kernel
def join_all(
    p_space: NDArray[uint64],
    p_limbs: int,
    n_space: NDArray[uint64],
    n_limbs: int,
    xs: NDArray[uint64],
    ys: NDArray[uint64],
    joined: NDArray[uint64],
) -> None:
    """Compute ``y + q * ((x - y) / q mod p)``.

    Parameters
    ----------
    p_space : array
        From `_difference_space`.
    n_space : array
        With q in Montgomery form in `FACTOR`.
    xs, ys : arrays of shape (count, any), uint64
    joined : array of shape (count, words), uint64
        Written.
    """
    digits = min(p_limbs, n_limbs)
    p_at, n_at = X * LANES * (p_limbs + PAD), X * LANES * (n_limbs + PAD)
    clear(n_space, n_limbs, X)
    for first in range(0, xs.shape[0], LANES):
        lanes = min(LANES, xs.shape[0] - first)
        for lane in range(lanes):
            put_words(p_space, p_limbs, X, lane, xs[first + lane], 0)
            put_words(p_space, p_limbs, Y, lane, ys[first + lane], 0)
            put_words(n_space, n_limbs, Y, lane, ys[first + lane], 0)
        _scale_difference(p_space, p_limbs)
        clear(n_space, n_limbs, X)
        for i in range(LANES * digits):
            n_space[n_at + i] = p_space[p_at + i]
        multiply(n_space, n_limbs, X, X, FACTOR)
        add(n_space, n_limbs, X, X, Y)
        reduce_once(n_space, n_limbs, X)
        for lane in range(lanes):
            take_words(n_space, n_limbs, X, lane, joined[first + lane])


@kernel
def _scale_difference(workspace: NDArray[uint64], limbs: int) -> None:
    add(workspace, limbs, X, X, MULTIPLE)
    subtract(workspace, limbs, X, X, Y)
    multiply(workspace, limbs, X, X, FACTOR)
    reduce_once(workspace, limbs, X)
