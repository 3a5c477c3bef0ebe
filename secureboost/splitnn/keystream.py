"""Random words from a secret key: what hides something must not come from a guessable generator.

torch's and numpy's generators are made for sampling. torch's takes 32 bits of its seed alone
(2**32 seeds are tried out in minutes), and the outputs of both give their state away. Noise that
protects a label or a column, and masks, come from AES-256 in counter mode instead.
"""

import hashlib
import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

KEY_BYTES = 32


class Keystream:
    """A sequence of uniform random words.

    Parameters
    ----------
    key : bytes
        32 bytes, for this sequence alone.
    """

    def __init__(self, key: bytes) -> None:
        self._stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    @classmethod
    def secret(cls) -> "Keystream":
        """A sequence that nobody can repeat."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def of_seed(cls, seed: int, *stream: int) -> "Keystream":
        """A sequence that follows from a seed and from what it is for.

        Whoever can guess the seed can undo what the sequence hides.
        """
        text = ",".join(str(number) for number in (seed, *stream))
        return cls(hashlib.sha256(b"secureboost keystream\n" + text.encode()).digest())

    def words(self, n: int) -> NDArray[np.uint64]:
        """The next words.

        Returns
        -------
        array of shape (n,), uint64
        """
        return np.frombuffer(self._stream.update(bytes(8 * n)), "<u8").astype(np.uint64)

    def uniform(self, n: int) -> NDArray[np.float64]:
        """Numbers between 0 and 1, neither of which occurs, in steps of 2**-53.

        Returns
        -------
        array of shape (n,), float64
        """
        return ((self.words(n) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers of mean 0 and variance 1 (Box and Muller 1958).

        Steps of 2**-53 cut the tails off at 8.6; beyond lies 1e-17 of the probability.

        Returns
        -------
        array of `shape`, float64
        """
        n = int(np.prod(shape))
        pairs = -(-n // 2)
        radius = np.sqrt(-2.0 * np.log(self.uniform(pairs)))
        angle = 2.0 * np.pi * self.uniform(pairs)
        drawn = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return drawn[:n].reshape(shape)
