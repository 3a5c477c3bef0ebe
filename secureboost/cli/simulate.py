"""``secureboost simulate``: all parties on this machine, from files."""

from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command
from secureboost.cli.options import RegistryFile


@command
def simulate(
    label: Annotated[Path, typer.Option(help="The lender's table, CSV or Parquet.")],
    target: Annotated[str, typer.Option(help="Its column with the label.")],
    row_id: Annotated[str, typer.Option("--id", help="The id column, in every table.")],
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
    trainer: Annotated[str, typer.Option(help="Which kind of model.")] = "secureboost",
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Time this machine first; show plan and truth.")
    ] = False,
    registry: RegistryFile = None,
) -> None:
    """Train over several tables on this machine, with the real encryption and messages.

    Rows are joined by id; what two companies would run between them is `serve` and `train`.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.training import new_record, train_and_report
    from secureboost.config import HoldOut
    from secureboost.features import feature_matrix
    from secureboost.party import FeatureParty
    from secureboost.planning import ONE_PROCESS
    from secureboost.run import make_model
    from secureboost.run_folder import prepare_folder
    from secureboost.settings import apply_overrides, decode_settings
    from secureboost.summary import check_plannable
    from secureboost.tables import join_tables, read_table
    from secureboost.targets import read_data
    from secureboost.trainers import get_trainer

    get_trainer(trainer)
    given = apply_overrides({}, settings)
    held_out = {name: given.pop(name) for name in HoldOut.__struct_fields__ if name in given}
    hold_out = decode_settings(held_out, HoldOut, Path())
    model = make_model(given, "", more_names=HoldOut.__struct_fields__)
    if plan:
        check_plannable(model)
    files = parse_parties(party)
    prepare_folder(out, force=force)
    tables = {name: read_table(file, row_id) for name, file in files.items()}
    label_table = read_table(label, row_id)
    # Checked before they are joined, while positions are those of the files.
    read_data(model, label_table, target, hold_out, positive=positive, file=label.name)
    for name, table in tables.items():
        feature_matrix(table, files[name].name)
    joined, partners, counts = join_tables(label_table, tables)
    stderr().print(str(counts))
    common = f"{label.name}, common rows"
    data = read_data(model, joined, target, hold_out, positive=positive, file=common)
    parties = [FeatureParty(name, table) for name, table in partners.items()]
    read = {label.name: label_table, **{files[name].name: table for name, table in tables.items()}}
    train_and_report(
        data,
        parties,
        model,
        out,
        title=f"{', '.join(files)} and the label party, simulated on one machine",
        record=new_record("simulate", trainer, data, model, parties, read, out),
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
    from secureboost.config import check_party_name
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
