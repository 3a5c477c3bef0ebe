"""``secureboost runs``: the registry of runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureboost.cli.app import group
from secureboost.cli.options import RegistryFile

if TYPE_CHECKING:
    from secureboost.runs import Registry, Run

command = group("runs", "List, show and compare what was trained, tuned and evaluated.")

_DIGEST_DIGITS = 12
_WIDE = 110  # columns of a terminal that everything fits

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@command
def list_(
    limit: Annotated[int, typer.Option(min=1, help="So many runs, the newest.")] = 20,
    json: JsonFlag = False,
    registry: RegistryFile = None,
) -> None:
    """List runs, the newest first."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.cli.layout import print_json
    from secureboost.quality import heading

    with open_registry(registry) as opened:
        found = opened.runs(limit)
    if json:
        print_json([as_json(run) for run in found])
        return
    console = stdout()
    wide = console.width >= _WIDE
    rows = []
    for run in found:
        metrics = run.record.metrics.get("test") or next(iter(run.record.metrics.values()), {})
        name, value = next(iter(metrics.items()), ("", None))
        row = (
            run.id,
            f"{run.started.astimezone():%Y-%m-%d %H:%M}",
            run.record.command,
            _took(run),
            state_of(run) if wide else str(run.state),
            None if value is None else f"{heading(name)} {value:.4f}",
        )
        more = (", ".join(run.record.parties), run.record.rounds, (run.record.model_id or "-")[:8])
        rows.append((*row, *more) if wide else row)
    heads = ("run", "started", "command", "took", "state", "quality")
    more_heads = ("parties", "rounds", "model")
    texts = ("state", "quality", "parties")
    console.print(result_table((*heads, *more_heads) if wide else heads, rows, texts=texts))


@command
def show(
    run: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    everything: Annotated[
        bool, typer.Option("--all", help="All parameters, those with their defaults too.")
    ] = False,
    json: JsonFlag = False,
    registry: RegistryFile = None,
) -> None:
    """Show what is recorded of a run."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.cli.layout import print_facts, print_json
    from secureboost.quality import Quality, quality_table
    from secureboost.units import format_bytes, format_seconds

    with open_registry(registry) as opened:
        found = opened.run(run)
    if json:
        print_json(as_json(found))
        return
    record = found.record
    facts: list[tuple[str, object]] = [
        ("run", found.id),
        ("started", _time(found.started)),
        ("took", _took(found)),
        ("command", record.command),
        ("trainer", record.trainer),
        ("software", found.software),
        ("state", state_of(found)),
        ("folder", record.folder),
        ("model", record.model_id),
        ("rounds", _rounds(record.rounds, record.first_round)),
        ("parties", ", ".join(record.parties)),
        *((f"data {name}", f"SHA-256 {digest}") for name, digest in record.data.items()),
        ("sent", None if record.bytes_sent is None else format_bytes(record.bytes_sent)),
        (
            "received",
            None if record.bytes_received is None else format_bytes(record.bytes_received),
        ),
    ]
    print_facts([(name, value) for name, value in facts if value])
    if record.metrics:
        folds = {
            fold: Quality(int(values["rows"]), {k: v for k, v in values.items() if k != "rows"})
            for fold, values in record.metrics.items()
        }
        stdout().print(result_table(*quality_table(folds)))
    if record.parameters:
        shown = record.parameters if everything else _not_default(record.parameters)
        rows = [(name, _text(value)) for name, value in shown.items()]
        stdout().print(result_table(("parameter", "value"), rows, texts=("value",)))
    if record.seconds:
        times = [(name, format_seconds(value)) for name, value in record.seconds.items()]
        stdout().print(result_table(("phase", "time"), times))


@command
def diff(
    one: Annotated[str, typer.Argument(help="Id of a run, or the beginning of it.")],
    other: Annotated[str, typer.Argument(help="Id of the run to compare with.")],
    json: JsonFlag = False,
    registry: RegistryFile = None,
) -> None:
    """Show what two runs have differently: parameters, data, metrics."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.cli.layout import print_json

    with open_registry(registry) as opened:
        first, second = opened.run(one), opened.run(other)
    found = compare(first, second)
    if json:
        print_json(found)
        return
    for title, pairs in found.items():
        if not pairs:
            stdout().print(f"{title}: the same")
            continue
        rows = [(name, _text(a), _text(b), _difference(a, b)) for name, (a, b) in pairs.items()]
        heads = (title, first.id, second.id, "difference")
        stdout().print(result_table(heads, rows, texts=heads[1:3]))


def open_registry(given: str | None) -> "Registry":
    """Open the registry to read it.

    Raises
    ------
    ConfigError
        If there is none, or recording is switched off.
    """
    from secureboost.errors import ConfigError
    from secureboost.runs import OFF, Registry, registry_file

    file = registry_file(given)
    if file is None:
        raise ConfigError(f"recording of runs is switched off ({OFF}); name a file", "--registry")
    return Registry(file)


def compare(first: "Run", second: "Run") -> dict[str, dict[str, tuple[Any, Any]]]:
    """What differs, by kind and name."""
    from secureboost.runs import differences

    def metrics(run: "Run") -> dict[str, float]:
        return {
            f"{fold} {name}": value
            for fold, values in run.record.metrics.items()
            for name, value in values.items()
        }

    def circumstances(run: "Run") -> dict[str, Any]:
        record = run.record
        return {
            "command": record.command,
            "trainer": record.trainer,
            "software": run.software,
            "state": state_of(run),
            "parties": ", ".join(record.parties),
            "rounds": record.rounds,
            "train seconds": record.seconds.get("train"),
            "bytes sent": record.bytes_sent,
            "bytes received": record.bytes_received,
        }

    return {
        "parameter": differences(first.record.parameters, second.record.parameters),
        "metric": differences(metrics(first), metrics(second)),
        "data": differences(_short(first.record.data), _short(second.record.data)),
        "run": differences(circumstances(first), circumstances(second)),
    }


def as_json(run: "Run") -> dict[str, Any]:
    """A run as JSON has it."""
    from dataclasses import asdict

    fields = asdict(run)
    record = fields.pop("record")
    return {**fields, **record}


def state_of(run: "Run") -> str:
    """The state, and the class of the error of a run that failed."""
    return f"{run.state} ({run.error})" if run.error else str(run.state)


def _not_default(parameters: dict[str, Any]) -> dict[str, Any]:
    from secureboost.api import SecureBoostClassifier

    defaults = SecureBoostClassifier().get_params()
    return {name: value for name, value in parameters.items() if value != defaults.get(name)}


def _short(digests: dict[str, str]) -> dict[str, str]:
    return {name: digest[:_DIGEST_DIGITS] for name, digest in digests.items()}


def _rounds(rounds: int | None, first: int) -> str | None:
    if rounds is None:
        return None
    return f"{rounds:,}" + (f", the first {first:,} of an interrupted run" if first else "")


def _time(moment: Any) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _took(run: "Run") -> str | None:
    from secureboost.units import format_seconds

    return None if run.ended is None else format_seconds((run.ended - run.started).total_seconds())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _difference(one: Any, other: Any) -> str | None:
    numbers = [v for v in (one, other) if isinstance(v, int | float) and not isinstance(v, bool)]
    return f"{other - one:+.4g}" if len(numbers) == 2 else None
