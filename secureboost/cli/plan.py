"""``secureboost plan``: what a federated training will take, before anybody commits to it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from secureboost.planning import Plan, Rates, Shape


@command
def plan(
    rows: Annotated[int, typer.Option(help="Training rows.")] = 100_000,
    own_columns: Annotated[int, typer.Option(help="Columns of the label party.")] = 20,
    partner_columns: Annotated[
        list[int], typer.Option(help="Columns of a feature party; repeat for more. Default: 20.")
    ] = [],  # noqa: B006 - typer copies it
    columns_like: Annotated[
        list[Path],
        typer.Option(help="A table like a feature party's: its columns and their bins; repeat."),
    ] = [],  # noqa: B006
    row_id: Annotated[str, typer.Option("--id", help="The id column of these tables.")] = "id",
    bins: Annotated[int, typer.Option(help="Most bins of a column (max_bin).")] = 32,
    depth: Annotated[int, typer.Option(help="Depth of a tree (max_depth).")] = 5,
    trees: Annotated[int, typer.Option(help="Trees (n_estimators).")] = 100,
    outputs: Annotated[
        int, typer.Option(help="Classes of a tree that is for all of them (multi_output_tree).")
    ] = 1,
    eval_rows: Annotated[
        int, typer.Option(help="Held-out rows, which ride along without ciphertexts.")
    ] = 0,
    key_bits: Annotated[int, typer.Option(help="Length of the key, at least 2048.")] = 2048,
    link: Annotated[float, typer.Option(help="Mbit/s of the label party's line.")] = 100.0,
    latency: Annotated[float, typer.Option(help="Round trip in ms, as ping shows it.")] = 20.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long to calibrate.")] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Predict time, bytes and memory of a training from a five-second calibration.

    Times this machine and takes every party's to be like it. Nobody is contacted.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.layout import print_json
    from secureboost.planning import Link, Shape, calibrate, equal_bins, predict

    likes = [bins_of_table(file, row_id, bins) for file in columns_like]
    numbers = partner_columns or ([] if likes else [20])
    shape = Shape(
        rows,
        own_columns,
        (*equal_bins(numbers, bins), *likes),
        bins,
        depth,
        trees,
        key_bits,
        eval_rows=eval_rows,
        outputs=outputs,
    )
    line = Link(link, latency)
    stderr().print(f"Timing this machine for some {seconds:g} s ...")
    rates = calibrate(key_bits, seconds)
    planned = predict(shape, rates, line)
    others = what_if(shape, rates, planned)
    if json:
        print_json({"plan": planned, "rates": rates, "what_if": dict(others)})
    else:
        show(planned, others)


def bins_of_table(file: Path, row_id: str, max_bin: int) -> tuple[int, ...]:
    """Read a table and count the bins that each of its columns gets.

    Raises
    ------
    ConfigError
        If `max_bin` is out of its limits.
    DataError
    """
    from secureboost.binning import BinMapper
    from secureboost.errors import ConfigError
    from secureboost.features import feature_matrix
    from secureboost.tables import read_table

    matrix = feature_matrix(read_table(file, row_id), file.name)
    try:
        mapper = BinMapper.fit(matrix.values, max_bin, categorical=matrix.categorical)
        return tuple(mapper.n_bins.tolist())
    except ValueError as error:
        raise ConfigError(str(error), "bins") from error


def what_if(shape: "Shape", rates: "Rates", planned: "Plan") -> "list[tuple[str, Plan]]":
    """Plan some neighbours of a shape; other key lengths are worked out, not timed."""
    from dataclasses import replace

    from secureboost.planning import Link, predict

    line = planned.link
    shapes = {
        f"{2 * shape.bins} bins": shape.with_bins(2 * shape.bins) if shape.bins <= 127 else None,
        f"{shape.bins // 2} bins": shape.with_bins(shape.bins // 2) if shape.bins >= 4 else None,
        f"depth {shape.depth - 1}": replace(shape, depth=shape.depth - 1)
        if shape.depth > 1
        else None,
        "half of the rows a tree (subsample=0.5)": replace(shape, subsample=0.5 * shape.subsample),
        "3072-bit key": replace(shape, key_bits=3072) if shape.key_bits != 3072 else None,
    }
    plans = [
        (name, predict(other, rates, line)) for name, other in shapes.items() if other is not None
    ]
    faster = Link(10 * line.megabits, line.latency, line.place)
    return [*plans, (f"{faster.megabits:g} Mbit/s", predict(shape, rates, faster))]


def show(planned: "Plan", others: "list[tuple[str, Plan]]") -> None:
    """Print a plan and its neighbours."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.cli.layout import print_facts
    from secureboost.planning.compare import numbered, plan_rows
    from secureboost.units import format_bytes, format_seconds

    rows = [
        (party, phase, format_seconds(seconds), done)
        for party, phase, seconds, done in plan_rows(planned)
    ]
    columns = ("party", "phase", "time", "operations")
    stdout().print(result_table(columns, rows, title="Where the time will go"))
    shape = planned.shape
    print_facts(
        [
            ("whole training", format_seconds(planned.wall_seconds)),
            ("a tree", format_seconds(planned.wall_seconds / shape.trees)),
            (
                "of it the line",
                f"{format_seconds(planned.transfer_seconds)} for its speed, "
                f"{format_seconds(planned.latency_seconds)} for its latency",
            ),
            (
                "label party",
                f"{format_seconds(planned.label.cpu_seconds)} of processor time, "
                f"{format_bytes(planned.label.memory_bytes)} of memory",
            ),
            *(
                (
                    name,
                    f"{format_seconds(party.cpu_seconds)} of processor time, "
                    f"{format_bytes(party.memory_bytes)} of memory",
                )
                for name, party in zip(
                    numbered(len(planned.partners)), planned.partners, strict=True
                )
            ),
            ("label party sends", format_bytes(planned.bytes_sent)),
            ("label party receives", format_bytes(planned.bytes_received)),
            ("what dominates", dominant(planned)),
        ]
    )
    table = [
        (
            name,
            format_seconds(other.wall_seconds),
            f"{other.wall_seconds / planned.wall_seconds:.2f} x",
            format_bytes(other.bytes_sent),
            format_bytes(other.bytes_received),
        )
        for name, other in [("as planned", planned), *others]
    ]
    heads = ("what if", "time", "of the plan", "sent", "received")
    stdout().print(result_table(heads, table, title="What would change it"))


def dominant(planned: "Plan") -> str:
    """Name the largest part of a plan, of work or of the line."""
    from secureboost.planning.compare import plan_rows

    work = {
        f"{phase} ({party})": seconds
        for party, phase, seconds, _ in plan_rows(planned)
        if phase not in ("send", "wait")
    }
    line = {
        "the line's speed": planned.transfer_seconds,
        "the line's latency": planned.latency_seconds,
    }
    name, seconds = max((work | line).items(), key=lambda item: item[1])
    return f"{name}, {seconds / planned.wall_seconds:.0%} of the time"
