"""`SecureBoostModel.to_xgboost`: from halves and consents to a file that was checked."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost._version import __version__
from secureboost.errors import DataError, ModelError, did_you_mean
from secureboost.export.checks import check_model, matrix_options
from secureboost.export.consent import Release, consented_halves
from secureboost.export.reader import Walked, sum_leaves
from secureboost.export.vector_rows import as_model_values, make_rows
from secureboost.export.vectors import (
    Vectors,
    read_vectors,
    tolerances,
    vectors_path,
)
from secureboost.export.whole import Whole
from secureboost.export.xgboost_json import make_document
from secureboost.export.xgboost_trees import ExportedTree, export_trees
from secureboost.features import feature_matrix
from secureboost.files import write_atomically
from secureboost.gbdt.model import LabelHalf

MAX_SAVED_ROWS = 500
"""Rows in the file of test vectors; more are checked (`vector_rows.MAX_ROWS`)."""


@dataclass(frozen=True, repr=False)
class XGBoostExport:
    """A model as XGBoost reads it.

    Attributes
    ----------
    json : bytes
        What `xgboost.Booster.load_model` loads.
    vectors : Vectors
        Rows and what the model makes of them; see `vectors`.
    """

    json: bytes
    vectors: Vectors

    def __repr__(self) -> str:
        return (
            f"XGBoostExport(model {self.vectors.model_id}, {len(self.json):,} bytes, checked with "
            f"{' and '.join(self.vectors.checked_with)})"
        )

    def save(self, path: str | Path) -> None:
        """Write the model and, beside it, its test vectors, readable by their owner alone.

        Raises
        ------
        OSError
        """
        path = Path(path)
        vectors = msgspec.json.encode(self.vectors)
        write_atomically(vectors_path(path), vectors, mode=0o600)
        write_atomically(path, self.json, mode=0o600)

    def booster(self) -> Any:
        """The model in XGBoost.

        Raises
        ------
        ImportError
            If it is not installed.
        """
        import xgboost

        return xgboost.Booster(model_file=bytearray(self.json))

    def matrix(self, frame: pd.DataFrame) -> Any:
        """Rows as `xgboost.DMatrix`, with categories in the codes of the model.

        What the model does not know counts as missing, as in SecureBoost.

        Parameters
        ----------
        frame : DataFrame
            The columns of the exported model, under its names; there may be others.

        Raises
        ------
        secureboost.errors.DataError
            If a column is missing or of another kind.
        ImportError
            If XGBoost is not installed.
        """
        import xgboost

        names = [column.name for column in self.vectors.columns]
        present = list(map(str, frame.columns))
        missing = [name for name in names if name not in present]
        if missing:
            raise DataError(
                f"the table lacks {len(missing)} of the model's columns, the first is "
                f"{missing[0]!r}.{did_you_mean(missing[0], present)}"
            )
        known = tuple(column.categories for column in self.vectors.columns)
        values = feature_matrix(frame[names], "", known=known).values
        return xgboost.DMatrix(values, **matrix_options(msgspec.json.decode(self.json)))


def to_xgboost(
    label: LabelHalf,
    releases: Sequence[Release | str | Path],
    *,
    include_cover: bool,
    category_names: bool,
    certificates: Mapping[str, Path] | None,
) -> XGBoostExport:
    """Take a model out; `SecureBoostModel.to_xgboost` documents the parameters."""
    halves, consents = consented_halves(label, releases, certificates)
    whole = Whole(label, halves)
    trees = list(export_trees(whole, include_cover=include_cover))
    attributes = {
        "secureboost_model_id": label.model_id,
        "secureboost_version": __version__,
        "secureboost_consents": msgspec.json.encode(consents).decode(),
    }
    data = msgspec.json.encode(
        make_document(whole, trees, attributes, category_names=category_names)
    )
    document = msgspec.json.decode(data)  # what is checked is what the file says
    rows = make_rows(whole)
    expected = _expected(whole, trees, rows)
    allowed = tolerances(sum_leaves(document, expected.leaves))
    checked_with = check_model(data, document, rows, expected, allowed)
    saved = slice(MAX_SAVED_ROWS)
    vectors = Vectors(
        model_id=label.model_id,
        model_sha256=hashlib.sha256(data).hexdigest(),
        software_version=__version__,
        checked_with=checked_with,
        consents=consents,
        columns=whole.columns,
        classes=label.classes,
        rows=_plain_rows(rows[saved]),
        leaves=_tuples(expected.leaves[saved]),
        margins=_tuples(expected.margins[saved]),
        tolerances=_tuples(allowed[saved]),
    )
    return XGBoostExport(data, vectors)


def recheck(path: str | Path) -> tuple[str, ...]:
    """Check an exported model again, with the test vectors beside it.

    Parameters
    ----------
    path : str or Path
        The model file; its vectors lie beside it.

    Returns
    -------
    tuple of str
        Who has read it; see `checks.check_model`.

    Raises
    ------
    secureboost.errors.ModelError
        If a file is absent or damaged, the vectors are another model's, or leaves or margins
        differ.
    """
    path = Path(path)
    vectors = read_vectors(vectors_path(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    if hashlib.sha256(data).hexdigest() != vectors.model_sha256:
        raise ModelError(
            f"{path} is not the model whose test vectors lie beside it: its hash is another. "
            "Export it again."
        )
    rows = np.array(
        [[np.nan if value is None else value for value in row] for row in vectors.rows], np.float32
    )
    expected = Walked(np.array(vectors.leaves, np.int32), np.array(vectors.margins))
    document = msgspec.json.decode(data)
    return check_model(data, document, rows, expected, np.array(vectors.tolerances))


def _expected(whole: Whole, trees: Sequence[ExportedTree], rows: NDArray[np.float32]) -> Walked:
    """What our model makes of the rows, with leaves numbered as in the file."""
    values = as_model_values(whole.columns, rows)
    leaves = whole.leaves(values).reshape(len(rows), -1)
    if not leaves.shape[1]:  # a model without trees has single leaves in the file
        leaves = np.zeros((len(rows), len(trees)), np.int32)
    numbered = [tree.numbers[leaves[:, number]] for number, tree in enumerate(trees)]
    return Walked(np.column_stack(numbered), whole.raw_scores(values))


def _plain_rows(rows: NDArray[np.float32]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(None if missing else value for value, missing in zip(*both, strict=True))
        for both in zip(rows.tolist(), np.isnan(rows).tolist(), strict=True)
    )


def _tuples(table: NDArray[Any]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, table.tolist()))
