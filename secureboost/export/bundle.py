"""A scoring bundle: a feature party's half in a folder, for a machine that scores offline.

::

    bundle/half.json     the half; it never leaves the company
    bundle/README.txt    which model it is, which columns it takes, how it is used
"""

from pathlib import Path

from secureboost.files import write_atomically
from secureboost.gbdt.model import PartyHalf, load_half, save_half

HALF_FILE, README_FILE = "half.json", "README.txt"


def write_bundle(half: PartyHalf, folder: Path) -> None:
    """Write a bundle.

    Raises
    ------
    OSError
    """
    save_half(half, folder / HALF_FILE)
    write_atomically(folder / README_FILE, _explanation(half).encode(), mode=0o600)


def read_bundle(path: Path) -> PartyHalf:
    """Read the half of a bundle, or a half's own file.

    Raises
    ------
    secureboost.errors.ModelError
        If there is none, or it is damaged.
    """
    return load_half(path / HALF_FILE if path.is_dir() else path, PartyHalf)


def _explanation(half: PartyHalf) -> str:
    columns = "\n".join(
        f"  {name} ({'numbers' if names is None else 'categories'})"
        for name, names in zip(half.feature_names, half.categories, strict=True)
    )
    return f"""\
Scoring bundle of {half.party} for model {half.model_id}

half.json holds {len(half.splits)} splits with thresholds and names of categories. It stays in this
company. For a table of rows to score with these columns and an id column:

{columns}

  secureboost sides FOLDER --data new.csv --id id --out {half.party}.sides

The file {half.party}.sides goes to the label party, which scores with it:

  secureboost score MODEL --data new.csv --id id --sides {half.party}.sides --out scores.csv

It tells the label party for each row on which side of each split it lies, as an answer of
`secureboost serve` does. Rows that are scored so do not count in the budget of the policy.
"""
