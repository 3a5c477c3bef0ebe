"""How numbers at the cut travel: the registry of codecs.

A codec has a name, and options behind a colon where it takes some; a codec that leaves numbers out
may be followed by one for the numbers that it keeps:

=========================  =====================================================================
``identity``               the numbers themselves
``float16``, ``bfloat16``  floats of 16 bits
``fp8``, ``fp8:e5m2``      floats of 8 bits, with 3 or 2 bits of fraction
``int8``                   whole numbers of 8 bits, with scale and zero point by row; with
                           ``int8:4`` gradients have 4 bits
``topk:0.1``               the largest tenth of each row
``randtopk:0.1``           the same, but in training others with chance; ``randtopk:0.1,0.05``
                           states the chance (alpha)
``topk:0.1+int8``          the largest tenth as whole numbers of 8 bits
``masked_sum``             fixed point under masks: of several feature parties the sum alone can be
                           read (`secureboost.splitnn.masking`)
=========================  =====================================================================

Compression is not privacy: what travels still tells nearly as much of a row as all numbers do.
A new codec is a file here and its line in `CODECS`.
"""

from collections.abc import Callable, Mapping

import torch

from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.codecs.base import Codec, Identity
from secureboost.splitnn.codecs.floats import BFloat16, RowScaledFloat
from secureboost.splitnn.codecs.int8 import GRADIENT_BITS, Int8
from secureboost.splitnn.codecs.sparse import RandTopK, TopK
from secureboost.splitnn.codecs.summand import MASKED_SUM, Summand
from secureboost.splitnn.payload import layout_bytes

__all__ = ["CODECS", "MASKED_SUM", "Codec", "Identity", "codec_names", "get_codec", "row_bytes"]

ALPHA = 0.1
"""What `RandTopK` takes where none is stated, as in most of the paper's runs."""


def _alone(name: str, make: Callable[[], Codec]) -> Callable[[str, Codec | None], Codec]:
    """A codec without options that nothing may follow."""

    def read(options: str, values: Codec | None) -> Codec:
        if options:
            raise ConfigError(f"{name!r} takes no options, and has {options!r}", "codec")
        _check_last(name, values)
        return make()

    return read


def _fp8(options: str, values: Codec | None) -> Codec:
    kinds = {"": torch.float8_e4m3fn, "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
    if options not in kinds:
        raise ConfigError(f"'fp8' is 'e4m3' or 'e5m2', and has {options!r}", "codec")
    _check_last("fp8", values)
    return RowScaledFloat(kinds[options])


def _int8(options: str, values: Codec | None) -> Codec:
    kinds = {"": GRADIENT_BITS[0]} | {str(bits): bits for bits in GRADIENT_BITS}
    if options not in kinds:
        raise ConfigError(
            f"'int8' may have gradients of '8' or '4' bits, and has {options!r}", "codec"
        )
    _check_last("int8", values)
    return Int8(kinds[options])


def _topk(options: str, values: Codec | None) -> Codec:
    (share,) = _numbers("topk", options, "the share to keep, as in 'topk:0.1'", 1, 1)
    return TopK(share, values or Identity())


def _randtopk(options: str, values: Codec | None) -> Codec:
    wanted = "the share to keep and, if you like, alpha, as in 'randtopk:0.1,0.05'"
    share, *alpha = _numbers("randtopk", options, wanted, 1, 2)
    return RandTopK(share, values or Identity(), alpha[0] if alpha else ALPHA)


CODECS: Mapping[str, Callable[[str, Codec | None], Codec]] = {
    "identity": _alone("identity", Identity),
    "float16": _alone("float16", lambda: RowScaledFloat(torch.float16)),
    "bfloat16": _alone("bfloat16", BFloat16),
    "fp8": _fp8,
    "int8": _int8,
    "topk": _topk,
    "randtopk": _randtopk,
}
"""By name what makes a codec of the text behind the colon (empty without one) and of the codec
behind the plus. `MASKED_SUM` is none of them: what it gives are no numbers yet."""


def get_codec(spec: str) -> Codec:
    """Make a codec of its name.

    Parameters
    ----------
    spec : str
        See the module.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none of that name, it takes other options, or nothing may follow it.
    """
    if spec == MASKED_SUM:
        return Summand()
    codec: Codec | None = None
    for part in reversed(spec.split("+")):
        name, _, options = part.partition(":")
        if name == MASKED_SUM:
            raise ConfigError(f"{name!r} takes no options and goes with no other codec", "codec")
        if name not in CODECS:
            known = [*CODECS, MASKED_SUM]
            raise ConfigError(
                f"{name!r} is not a codec; there is: {', '.join(known)}."
                f"{did_you_mean(name, known)}",
                "codec",
            )
        codec = CODECS[name](options, codec)
    return codec or Identity()


def codec_names(spec: str) -> tuple[str, ...]:
    """The names of `CODECS` that a codec is made of, without options: for a party's policy."""
    return tuple(part.partition(":")[0] for part in spec.split("+"))


def row_bytes(spec: str, width: int, dtype: str = "float32", n_rows: int = 1024) -> float:
    """Bytes at the cut for a row of a batch, both ways together.

    Parameters
    ----------
    spec : str
    width : int
    dtype : str
    n_rows : int
        Rows of the batch: each array is padded to 8 bytes.
    """
    codec = get_codec(spec)
    there = layout_bytes(codec.layout(n_rows, width, dtype))
    back = layout_bytes(codec.gradient_layout(n_rows, width, dtype))
    return (there + back) / n_rows


def _check_last(name: str, values: Codec | None) -> None:
    if values is not None:
        raise ConfigError(
            f"{name!r} keeps every number; only what leaves numbers out may be followed by a "
            "codec, as in 'topk:0.1+int8'",
            "codec",
        )


def _numbers(name: str, options: str, wanted: str, fewest: int, most: int) -> list[float]:
    parts = options.split(",") if options else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not fewest <= len(numbers) <= most:
        raise ConfigError(f"{name!r} takes {wanted}; it has {options!r}", "codec")
    return numbers
