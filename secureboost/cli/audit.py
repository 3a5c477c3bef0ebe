"""``secureboost audit``: what the cut of a network would tell, attacked on one's own tables."""

from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command
from secureboost.cli.options import IdColumns


@command
def audit(
    label: Annotated[Path, typer.Option(help="The label party's table, CSV or Parquet.")],
    target: Annotated[
        list[str], typer.Option(help="Its column with the label; repeat for several labels.")
    ],
    row_id: IdColumns,
    party: Annotated[
        list[str], typer.Option(help="NAME=FILE of a feature party's table; repeat for more.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write: the table, and plots.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="The class to predict, unless the label is 0/1.")
    ] = None,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="NAME=VALUE of a constructor parameter of the network, or of test_size, seed, "
            "date (a column) or test_from (a day); repeat.",
        ),
    ] = [],  # noqa: B006 - typer copies it
    protection: Annotated[
        list[str],
        typer.Option(help="Try this one only, with its defaults; repeat. Default: all that fit."),
    ] = [],  # noqa: B006 - typer copies it
    known_labels: Annotated[
        int, typer.Option(help="Labels that a feature party is taken to know.")
    ] = 200,
    known_rows: Annotated[
        int, typer.Option(help="Rows whose columns the label party is taken to know.")
    ] = 500,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Attack the cut of a split network, without and with each protection.

    For whoever has all tables: one's own, cut in two, before a partner is met. The network is
    trained once for each protection, in this process. Shown is what a feature party learns of
    labels (AUC) and the label party of columns (R2), beside what they reach from their own columns
    alone.
    """
    from secureboost.cli.console import result_table, stderr, stdout
    from secureboost.cli.predict import check_file
    from secureboost.cli.simulate import parse_parties
    from secureboost.config import HoldOut
    from secureboost.data import check_ids
    from secureboost.errors import ConfigError, DataError
    from secureboost.kinds import get_kind
    from secureboost.settings import apply_overrides, decode_settings
    from secureboost.splitnn.protocol import TRAINER
    from secureboost.tables import read_table
    from secureboost.targets import read_data

    kind = get_kind(TRAINER)
    from secureboost.splitnn.audit import audit as attack
    from secureboost.splitnn.audit_report import audit_table, verdict, write_audit
    from secureboost.splitnn.base_estimator import SplitNNModel

    given = apply_overrides({}, settings)
    held_out = {name: given.pop(name) for name in HoldOut.__struct_fields__ if name in given}
    hold_out = decode_settings(held_out, HoldOut, Path())
    model = kind.make_model(given, "", more_names=HoldOut.__struct_fields__)
    if not isinstance(model, SplitNNModel):
        raise TypeError(f"the trainer {TRAINER!r} made a {type(model).__name__}")
    files = parse_parties(party)
    if out is not None:
        check_file(out, force=force)
    frame = read_table(label, row_id)
    tables = {name: read_table(file, row_id) for name, file in files.items()}
    for name, table in {label.name: frame, **tables}.items():
        check_ids(table.index, name)
    n_rows = len(frame)
    for table in tables.values():
        frame = frame.loc[frame.index.isin(table.index)]
    if frame.empty:
        raise DataError("no id is in all tables; give tables of the same customers")
    stderr().print(f"{len(frame):,} of the label party's {n_rows:,} rows are in all tables")
    labels = target if len(target) > 1 else target[0]
    data = read_data(model, frame, labels, hold_out, positive=positive, file=label.name)
    if "test" not in data.folds:
        raise ConfigError("an audit needs rows that are held out; set test_size or test_from")

    def show(name: str, done: int, of: int) -> None:
        stderr().print(f"{done + 1} of {of}: {name}")

    found = attack(
        model,
        data.X,
        data.y,
        tables,
        protections=protection or None,
        test_rows=data.folds["test"],
        known_labels=known_labels,
        known_rows=known_rows,
        on_trial=show,
    )
    stdout().print(result_table(*audit_table(found)))
    stdout().print(verdict(found))
    if out is not None:
        facts = [(name, str(value)) for name, value in given.items()]
        write_audit(found, out, f"Audit of the cut: {', '.join(files)}", facts)
        stderr().print(f"{out} written")
