"""Test vectors: rows, and what the model that was exported makes of them.

They lie beside the exported model (``model.json``, ``model.vectors.json``), so that whoever runs it
can check their own installation. The file says what it holds; a list of numbers per row:

``rows`` (null is missing, categories are codes), ``leaves`` (a leaf of every tree, numbered as in
the model file), ``margins`` (raw scores by SecureBoost, in double precision) and ``tolerances``.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from secureboost.errors import ModelError
from secureboost.export.consent import Consent
from secureboost.export.reader import LeafSums
from secureboost.export.whole import Column

VERSION = 1
SUFFIX = ".vectors.json"
TOLERANCE = 1e-6
"""Largest difference of margins where a row's leaf values add up to at most 1 in magnitude; in
proportion where they add up to more."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]


class Vectors(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.vectors"):
    """Test vectors of one exported model.

    Attributes
    ----------
    version : int
    model_id : str
    model_sha256 : str
        Of the model file, in hexadecimal.
    software_version : str
    checked_with : tuple of str
        What had read the model and given these leaves and margins before it was written.
    consents : tuple of Consent
        Of the partners whose halves are in the model.
    columns : tuple of Column
        Of the rows, with the names of their codes.
    classes : tuple
        In the order of the margins; empty for a regression.
    rows : tuple of tuple of (float or None)
    leaves : tuple of tuple of int
    margins, tolerances : tuple of tuple of float
    """

    version: int = VERSION
    model_id: str
    model_sha256: Digest
    software_version: str
    checked_with: tuple[str, ...]
    consents: tuple[Consent, ...]
    columns: tuple[Column, ...]
    classes: tuple[bool | int | float | str, ...]
    rows: tuple[tuple[float | None, ...], ...]
    leaves: tuple[tuple[int, ...], ...]
    margins: tuple[tuple[float, ...], ...]
    tolerances: tuple[tuple[float, ...], ...]


def tolerances(sums: LeafSums) -> NDArray[np.float64]:
    """How far margins may lie apart, shape (n_rows, n_outputs), float64.

    XGBoost adds up in single precision. What a row loses by that is no fault of the file, so it is
    allowed for.
    """
    lost = np.abs(sums.single - sums.exact)
    return np.asarray(TOLERANCE * np.maximum(sums.magnitude, 1.0) + lost)


def vectors_path(model: Path) -> Path:
    """Where the vectors of a model file lie."""
    return model.with_suffix(SUFFIX)


def read_vectors(path: Path) -> Vectors:
    """Read a file of test vectors.

    Raises
    ------
    secureboost.errors.ModelError
        If it is absent, not one, of another version, or its lists differ in length.
    """
    try:
        vectors = msgspec.json.decode(path.read_bytes(), type=Vectors)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a file of test vectors: {error}.") from error
    if vectors.version != VERSION:
        raise ModelError(
            f"{path}: version {vectors.version}, and this release reads version {VERSION}."
        )
    lists = (vectors.rows, vectors.leaves, vectors.margins, vectors.tolerances)
    widths = [{len(row) for row in rows} for rows in lists]
    n_rows = len(vectors.rows)
    fits = all(
        len(rows) == n_rows and len(width) == 1 for rows, width in zip(lists, widths, strict=True)
    )
    if not fits or widths[0] != {len(vectors.columns)} or widths[2] != widths[3]:
        raise ModelError(f"{path}: its lists differ in length.")
    return vectors
