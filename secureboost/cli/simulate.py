"""``secureboost simulate``: all parties on this machine, from files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command
from secureboost.cli.options import IdColumns, RegistryFile, TrainerName

if TYPE_CHECKING:
    import pandas as pd

    from secureboost.outcome import RunData


@command
def simulate(
    label: Annotated[Path, typer.Option(help="The lender's table, CSV or Parquet.")],
    target: Annotated[
        list[str],
        typer.Option(help="Its column with the label; a network takes several: repeat."),
    ],
    row_id: IdColumns,
    party: Annotated[
        list[str], typer.Option(help="NAME=FILE of a feature party's table; repeat for more.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for model, metrics, scores, report, log.")],
    positive: Annotated[
        str | None, typer.Option(help="The class to predict, unless the label is 0/1.")
    ] = None,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="NAME=VALUE of a constructor parameter, or of test_size, seed, date (a column) "
            "or test_from (a day); repeat.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    trainer: TrainerName = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Time this machine first; show plan and truth.")
    ] = False,
    registry: RegistryFile = None,
) -> None:
    """Train over several tables on this machine, with the real messages and encryption.

    Common rows are found as between companies, too. What two companies would run between them is
    `serve` and `train`.
    """
    from secureboost.cli.aligning import common_data
    from secureboost.cli.training import new_record, train_and_report
    from secureboost.config import HoldOut
    from secureboost.config_align import LabelAlign
    from secureboost.features import feature_matrix
    from secureboost.keyed_table import read_keyed_table
    from secureboost.kinds import get_kind
    from secureboost.party import FeatureParty
    from secureboost.planning import ONE_PROCESS
    from secureboost.run import check_names
    from secureboost.run_folder import prepare_folder
    from secureboost.settings import apply_overrides, decode_settings
    from secureboost.tables import read_table
    from secureboost.targets import read_data
    from secureboost.trainers import GBDT_TRAINER

    kind = get_kind(trainer or GBDT_TRAINER.name)
    given = apply_overrides({}, settings)
    held_out = {name: given.pop(name) for name in HoldOut.__struct_fields__ if name in given}
    hold_out = decode_settings(held_out, HoldOut, Path())
    model = kind.make_model(given, "", more_names=HoldOut.__struct_fields__)
    if plan:
        kind.check_plannable(model)
    files = parse_parties(party)
    prepare_folder(out, force=force)
    tables = {name: read_table(file, row_id) for name, file in files.items()}
    keyed = read_keyed_table(label, row_id, LabelAlign())

    def read(frame: "pd.DataFrame", file: str) -> "RunData":
        labels = target if len(target) > 1 else target[0]
        return read_data(model, frame, labels, hold_out, positive=positive, file=file)

    # Checked before common rows are found, while positions are those of the files.
    data = read(keyed.frame, keyed.name)
    check_names(model, data, list(files))
    for name, table in tables.items():
        feature_matrix(table, files[name].name)
    parties = [FeatureParty(name, table, align=True) for name, table in tables.items()]
    shown = {keyed.name: keyed.frame, **{files[name].name: table for name, table in tables.items()}}
    train_and_report(
        lambda log: common_data(keyed, parties, LabelAlign(), read, log),
        parties,
        model,
        out,
        title=f"{', '.join(files)} and the label party, simulated on one machine",
        record=new_record("simulate", model.trainer.name, data, model, parties, shown, out),
        registry=registry,
        plan_over=ONE_PROCESS if plan else None,
    )


def parse_parties(options: list[str]) -> dict[str, Path]:
    """Read ``NAME=FILE`` options.

    Raises
    ------
    ConfigError
        If one has another form, a name cannot be a party's, or a name is given twice.
    """
    from secureboost.config_types import check_party_name
    from secureboost.errors import ConfigError

    files: dict[str, Path] = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not equals or not file:
            raise ConfigError(f"{option!r} is not of the form NAME=FILE", "--party")
        check_party_name(name, "--party")
        if name in files:
            raise ConfigError(f"{name!r} is given twice; give each party its own name", "--party")
        files[name] = Path(file)
    return files
