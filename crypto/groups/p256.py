"""P-256 (NIST SP 800-186), the group that runs everywhere: OpenSSL multiplies, by `cryptography`.

An element travels as its x coordinate alone, 32 bytes, most significant first: a Diffie-Hellman
exchange gives no more, and it is enough, for P and -P have the same x, and so have aP and -aP. The
curve's order is prime, so there are no elements of small order, and the identity has no x.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from crypto.groups.base import Elements, Group, refused
from crypto.groups.p256_map import PRIME, hash_to_point
from crypto.kernels.threads import over_ranges

_BYTES = 32
_CURVE = ec.SECP256R1()
_ECDH = ec.ECDH()
_X_ALONE, _X_AND_Y = b"\2", b"\4"
"""How a point is encoded (SEC 1, section 2.3.3): x and that y is even, or both coordinates."""
_WORTH_A_THREAD = 32
"""Elements; they take some 2 ms."""


class P256(Group):
    """The curve P-256, hashed to by the suite P256_XMD:SHA-256_SSWU_RO_ of RFC 9380.

    The hash is computed in Python: one thread at a time, and not in constant time. Products are
    OpenSSL's: in constant time, and without the interpreter's lock.
    """

    name: ClassVar[str] = "p256"
    order: ClassVar[int] = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    byte_order: ClassVar[Literal["little", "big"]] = "big"

    def missing(self) -> str | None:
        """Nothing is: `cryptography` is a hard dependency."""
        return None

    def _hash(self, data: Sequence[bytes], tag: bytes, n_jobs: int) -> Elements:
        return _rows([hash_to_point(item, tag)[0].to_bytes(_BYTES, "big") for item in data])

    def _blind(self, data: Sequence[bytes], secret: bytes, tag: bytes, n_jobs: int) -> Elements:
        # All hashes first: between products, threads would wait for each other's.
        points = [hash_to_point(item, tag) for item in data]

        def point(row: int) -> ec.EllipticCurvePublicKey:
            x, y = points[row]
            return _decode(_X_AND_Y + x.to_bytes(_BYTES, "big") + y.to_bytes(_BYTES, "big"))

        return _products(point, len(points), secret, n_jobs)

    def _multiply(self, elements: Elements, secret: bytes, n_jobs: int) -> Elements:
        def point(row: int) -> ec.EllipticCurvePublicKey:
            encoded = elements[row].tobytes()
            try:
                return _decode(_X_ALONE + encoded)
            except ValueError:
                canonical = int.from_bytes(encoded, "big") < PRIME
                why = "no point of the curve has this x" if canonical else "its x is not below p"
                raise refused(row, len(elements), why) from None

        return _products(point, len(elements), secret, n_jobs)


def _products(
    point: Callable[[int], ec.EllipticCurvePublicKey], count: int, secret: bytes, n_jobs: int
) -> Elements:
    """Multiply points in threads; of several errors, that of the first row is raised."""
    key = ec.derive_private_key(int.from_bytes(secret, "big"), _CURVE)

    def work(first: int, end: int) -> list[bytes]:
        return [key.exchange(_ECDH, point(row)) for row in range(first, end)]

    parts = over_ranges(work, count, n_jobs, least=_WORTH_A_THREAD)
    return _rows([product for part in parts for product in part])


def _decode(encoded: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, encoded)


def _rows(encoded: list[bytes]) -> Elements:
    return np.frombuffer(bytearray().join(encoded), dtype=np.uint8).reshape(-1, _BYTES)
