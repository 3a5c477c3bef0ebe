"""Configuration files of `secureboost train` and `secureboost serve`: TOML, read and checked once.

Each table of the file is a frozen structure below, each key a field. An error carries the full
path of the bad key, ``party.bureau.address``. Relative paths in a file are relative to the folder
of that file, wherever the command is started.
"""

import datetime
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

from secureboost.config_align import FeatureAlign, Id, LabelAlign, check_keys
from secureboost.config_nets import NetLimits
from secureboost.config_types import (
    Count,
    Name,
    Names,
    Seconds,
    Seed,
    Share,
    check_one_way,
    check_party_name,
)
from secureboost.errors import ConfigError
from secureboost.settings import apply_overrides, decode_settings

_T = TypeVar("_T", bound=Struct)

LABEL_PARTY, FEATURE_PARTY = "label party", "feature party"
DEFAULT_TEST_SIZE = 0.2
"""Of `simulate`; `train` holds out what its file says."""


class LabelData(Struct, frozen=True, forbid_unknown_fields=True):
    """``[data]`` of the label party.

    Attributes
    ----------
    file : Path
        CSV or Parquet.
    id : str or list of str
        Column with the row ids, or columns that are one together.
    target : str or list of str
        Column with the label, or columns of several labels, which networks learn together.
    positive : str, int, float or bool, optional
        The class to predict; needed unless the label is 0/1.
    categorical : list of str
        Columns to take as categories; text is without being named.
    date : str, optional
        Column with each row's day; no feature. The newest rows are then held out.
    test_from : date, optional
        Rows of this day and later ones are held out, instead of the share `test_size`.
    """

    file: Path
    id: Id
    target: Name | Names
    positive: bool | int | float | str | None = None
    categorical: list[Name] = []
    date: Name | None = None
    test_from: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.test_from is not None and self.date is None:
            raise ConfigError("needs date, the column with each row's day", "test_from")


class FeatureData(Struct, frozen=True, forbid_unknown_fields=True):
    """``[data]`` of a feature party.

    Attributes
    ----------
    file : Path
        CSV or Parquet.
    id : str or list of str
        Column with the row ids, or columns that are one together.
    categorical : list of str
        Columns to take as categories; text is without being named.
    monotone : dict of str to int
        Columns with a declared direction of effect: 1, predictions must not fall as it grows, or
        -1, they must not rise.
    """

    file: Path
    id: Id
    categorical: list[Name] = []
    monotone: dict[str, int] = {}


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """``[tls]``: who this party is on the wire.

    Attributes
    ----------
    certificate, key : Path
        PEM files; `secureboost cert` makes them.
    """

    certificate: Path
    key: Path


class Partner(Struct, frozen=True, forbid_unknown_fields=True):
    """``[party.<name>]``: a feature party as the label party reaches it.

    Attributes
    ----------
    certificate : Path
        Their certificate; no other is accepted.
    address : str, optional
        ``host:port`` to dial.
    listen : str, optional
        ``host:port`` to wait on, if they dial.
    timeout : float
        Seconds an answer may take.
    """

    certificate: Path
    address: str | None = None
    listen: str | None = None
    timeout: Seconds = 600.0

    def __post_init__(self) -> None:
        check_one_way("address", self.address, "listen", self.listen)


class PinnedCertificate(Struct, frozen=True, forbid_unknown_fields=True):
    """``[label_party]``: whose questions are answered.

    Attributes
    ----------
    certificate : Path
        Their certificate; no other is accepted.
    """

    certificate: Path


class PolicyLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """``[policy]``: limits that a feature party enforces itself, whatever it is asked.

    Fields and defaults are those of `secureboost.gbdt.policy.Policy`, which a test holds.

    Attributes
    ----------
    min_child_samples : int
        A run must ask for at least this many rows on each side of a split.
    max_bin : int
        A run may ask for at most this many bins per column.
    max_node_histograms : int, optional
        Nodes whose histograms are given out over all runs on this data set; None is no limit.
    max_routed_rows : int, optional
        Rows routed for predictions over all runs on this data set; None is no limit.
    """

    min_child_samples: Count = 1
    max_bin: Annotated[int, Meta(ge=2, le=255)] = 255
    max_node_histograms: Count | None = None
    max_routed_rows: Count | None = None


class TrainConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Configuration of the label party.

    Attributes
    ----------
    data : LabelData
    tls : Identity
    party : dict of str to Partner
        The feature parties in session order, which numbers the columns.
    out : Path
        Folder for model, metrics and log.
    test_size : float
        Share of the rows that is held out, the newest ones where ``data.date`` names a column; 0
        trains on all.
    seed : int
        Of the hold-out.
    align : LabelAlign
        How rows find those of the feature parties.
    key : Path, optional
        Paillier key file of `secureboost keygen`; by default each run makes a key of its own.
    trainer : str
        Name in the registry of trainers.
    model, net : dict
        Parameters by name of the estimator of trees, or of that of networks; only those of
        `trainer` are looked at, against its constructor.
    """

    data: LabelData
    tls: Identity
    party: dict[str, Partner]
    out: Path
    test_size: Share = 0.0
    seed: Seed = 0
    align: LabelAlign = LabelAlign()
    key: Path | None = None
    trainer: Name = "secureboost"
    model: dict[str, Any] = {}
    net: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check_keys(self.data.id, self.align)
        if not self.party:
            raise ConfigError("name at least one feature party: [party.<name>]", "party")
        for name in self.party:
            check_party_name(name, f"party.{name}")
        if self.data.test_from is not None and self.test_size:
            raise ConfigError("give either test_size or data.test_from, not both", "test_size")
        if self.data.date is not None and self.data.test_from is None and not self.test_size:
            raise ConfigError(
                "names the days, but nothing is held out by them: set data.test_from to a day, or "
                "test_size to the share of the newest rows",
                "data.date",
            )

    @property
    def hold_out(self) -> "HoldOut":
        """Which rows are held out."""
        share = None if self.data.test_from else self.test_size
        return HoldOut(share, self.seed, self.data.date, self.data.test_from)


class HoldOut(Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows are held out.

    Attributes
    ----------
    test_size : float, optional
        Share of the rows; 0 trains on all. By default 0.2, and with `test_from` what that says.
    seed : int
        Of the draw; none is made where days decide.
    date : str, optional
        Column with each row's day: the newest rows are held out, not random ones.
    test_from : date, optional
        Rows of this day and later ones are held out.
    """

    test_size: Share | None = None
    seed: Seed = 0
    date: Name | None = None
    test_from: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.test_from is not None and self.date is None:
            raise ConfigError("needs date, the column with each row's day", "test_from")
        if self.test_from is not None and self.test_size is not None:
            raise ConfigError("give either test_size or test_from, not both", "test_size")

    @property
    def share(self) -> float:
        """Share of the rows that is held out, where no day says which."""
        return DEFAULT_TEST_SIZE if self.test_size is None else self.test_size


class ServeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Configuration of a feature party.

    Attributes
    ----------
    data : FeatureData
    tls : Identity
    label_party : PinnedCertificate
    store : Path
        Folder for this party's halves of models.
    listen : str, optional
        ``host:port`` to wait on.
    dial : str, optional
        ``host:port`` of the label party, if that one waits.
    trainer : str, optional
        Serve this trainer alone, beside alignment. By default trees are served, and networks where
        there is `nets`: they tell more, so nobody serves them without having said so.
    policy : PolicyLimits
        For trees.
    nets : NetLimits, optional
        For networks.
    align : FeatureAlign
        How rows find those of the label party, and limits.
    """

    data: FeatureData
    tls: Identity
    label_party: PinnedCertificate
    store: Path
    listen: str | None = None
    dial: str | None = None
    trainer: Name | None = None
    policy: PolicyLimits = PolicyLimits()
    nets: NetLimits | None = None
    align: FeatureAlign = FeatureAlign()

    def __post_init__(self) -> None:
        check_keys(self.data.id, self.align)
        check_one_way("dial", self.dial, "listen", self.listen)


def load_train_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read the label party's configuration.

    Parameters
    ----------
    path : str or Path
        TOML file.
    overrides : sequence of str
        ``a.b=value`` each, see `apply_overrides`.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key is unknown, missing or out of its limits.
    """
    return _load(path, overrides, TrainConfig)


def load_serve_config(path: str | Path, overrides: Sequence[str] = ()) -> ServeConfig:
    """Read a feature party's configuration; see `load_train_config`."""
    return _load(path, overrides, ServeConfig)


def side_of(path: str | Path, overrides: Sequence[str] = ()) -> str:
    """Tell whose configuration a file is, by what only one side has.

    Returns
    -------
    str
        `LABEL_PARTY` or `FEATURE_PARTY`.

    Raises
    ------
    ConfigError
        If it cannot be read, or is neither.
    """
    settings = apply_overrides(read_toml(path), overrides)
    if "label_party" in settings:
        return FEATURE_PARTY
    if "party" in settings:
        return LABEL_PARTY
    raise ConfigError(
        f"{path} is neither a label party's configuration, with [party.<name>], nor a feature "
        "party's, with [label_party]"
    )


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file as it is.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the file is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: the file is not valid TOML: {error}") from error


def write_example(kind: Literal["train", "serve"], path: str | Path) -> None:
    """Write a commented example configuration.

    Parameters
    ----------
    kind : {"train", "serve"}
    path : str or Path
        A file that does not exist yet.

    Raises
    ------
    ConfigError
        If the file exists or cannot be written.
    """
    example = resources.files("secureboost") / "templates" / f"{kind}.toml"
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(example.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise ConfigError(f"{path}: the file exists; name another or move it away") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _load(path: str | Path, overrides: Sequence[str], kind: type[_T]) -> _T:
    settings = apply_overrides(read_toml(path), overrides)
    return decode_settings(settings, kind, Path(path).resolve().parent)
