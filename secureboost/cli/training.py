"""What `train` and `simulate` do once the tables are read: train, show, write."""

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crypto.scheme import PrivateKey
from secureboost.cli.console import exit_code, result_table, stderr, stdout
from secureboost.cli.recording import recorded
from secureboost.cli.runlog import RunLog
from secureboost.cli.watching import bytes_of, log_compilations
from secureboost.errors import ExitCode
from secureboost.kinds import kind_of
from secureboost.kinds.base import Model
from secureboost.monitor import History
from secureboost.outcome import RunData, RunResult
from secureboost.party import Party, data_digest
from secureboost.planning import Link, Rates, calibrate
from secureboost.planning.compare import Compared
from secureboost.progress import TrainingProgress
from secureboost.quality import quality_table
from secureboost.recovery import Recovery
from secureboost.run import run
from secureboost.run_folder import LOG_FILE, write_run
from secureboost.runs import Record
from secureboost.summary import make_report, plan_and_truth, plan_of_run, time_rows
from secureboost.units import format_bytes, format_seconds


def train_and_report(
    prepare: Callable[[RunLog], RunData],
    parties: Sequence[Party],
    model: Model,
    out: Path,
    *,
    title: str,
    record: Record,
    registry: str | None = None,
    make_key: Callable[[], PrivateKey] | None = None,
    plan_over: Link | None = None,
    recovery: Recovery | None = None,
) -> RunResult:
    """Train with a progress bar, write the run's folder, print the result.

    Parameters
    ----------
    prepare : callable
        Finds the common rows and makes what is learnt of them.
    parties : sequence of Party
    model : Model
    out : Path
        The prepared folder.
    title : str
        Of the report.
    record : Record
        See `new_record`.
    registry : str, optional
        See `runs.registry_file`.
    make_key, recovery : optional
        See `run.run`.
    plan_over : Link, optional
        Calibrate before, and show afterwards what was to be expected over this line.
    """
    with recorded(registry, record), logged(out / LOG_FILE) as log:
        data = prepare(log)
        rates = calibrated(model) if plan_over else None
        result = train_logged(data, parties, model, out, log, make_key=make_key, recovery=recovery)
        planned: list[Compared] = []
        if rates and plan_over and result.rounds > result.first_round:
            planned = plan_and_truth(plan_of_run(data, result, rates, plan_over), result)
        write_run(out, data, result, make_report(title, data, result), planned=planned)
        log.write("written", folder=str(out))
        fill_record(record, result)
    print_result(result)
    print_planned(planned)
    stderr().print(f"Model, metrics, scores, report.html and log: {out}")
    return result


def new_record(
    command: str,
    trainer: str,
    data: RunData,
    model: Model,
    parties: Sequence[Party],
    tables: Mapping[str, pd.DataFrame],
    out: Path | None,
) -> Record:
    """What the registry is told of a run at its start.

    Parameters
    ----------
    command, trainer : str
    data : RunData
    model : Model
    parties : sequence of Party
    tables : mapping of str to DataFrame
        As they were read, by name; their digests are recorded.
    out : Path, optional
        The folder of its files.
    """
    return Record(
        command,
        trainer=trainer,
        folder=str(out.resolve()) if out else None,
        parties=[party.name for party in parties],
        data={name: data_digest(table) for name, table in tables.items()},
        parameters={**model._plain_parameters(), **data.hold_out},
    )


def fill_record(record: Record, result: RunResult) -> None:
    """Add what a run gave."""
    record.model_id = result.model.label_half_.model_id
    record.rounds, record.first_round = result.rounds, result.first_round
    record.seconds = dict(result.seconds)
    for party, phase, seconds, _ in time_rows(result):
        record.seconds[f"{party}: {phase}"] = seconds
    record.bytes_sent, record.bytes_received = result.bytes_sent, result.bytes_received
    record.metrics = {fold: quality.as_json() for fold, quality in result.metrics.items()}


def calibrated(model: Any) -> Rates:
    """Time this machine at the model's key length, saying so."""
    stderr().print("Timing this machine for some 5 s ...")
    n_jobs = -1 if model.n_jobs is None else model.n_jobs
    return calibrate(model.key_bits, n_jobs=n_jobs)


def train_logged(
    data: RunData,
    parties: Sequence[Party],
    model: Model,
    out: Path,
    log: RunLog,
    *,
    make_key: Callable[[], PrivateKey] | None = None,
    recovery: Recovery | None = None,
) -> RunResult:
    """Train with a progress bar and a line in the log per round; the model goes into `out`."""
    log.write(
        "begin",
        rows=len(data.y),
        training_rows=len(data.folds["train"]),
        own_columns=data.X.shape[1],
        parties=", ".join(party.name for party in parties),
        resumed=recovery is not None and recovery.resume,
    )

    kind = kind_of(model)

    def on_round(number: int, history: History) -> None:
        values = {
            f"{fold}_{metric}": by_round[-1]
            for fold, by_metric in history.items()
            for metric, by_round in by_metric.items()
        }
        log.write(kind.round_name, **{f"{kind.round_name}s": number + 1}, **values)

    result = run(
        data,
        parties,
        model,
        out=out,
        on_round=on_round,
        progress=TrainingProgress(
            kind.n_rounds(model),
            lambda: bytes_of(parties)[0],
            console=stderr(),
            round_name=kind.round_name,
        ),
        make_key=make_key,
        recovery=recovery,
    )
    log.write(
        "trained",
        model_id=result.model.label_half_.model_id,
        rounds=result.rounds,
        seconds=result.seconds["train"],
        bytes_sent=result.bytes_sent,
        bytes_received=result.bytes_received,
    )
    return result


@contextlib.contextmanager
def logged(path: Path) -> Iterator[RunLog]:
    """Open a run's log and note how the run ended."""
    log_compilations()
    with RunLog(path) as log:
        try:
            yield log
        except KeyboardInterrupt:
            log.write("stopped")
            raise
        except BaseException as error:
            log.write("failed", error=type(error).__name__, where=where(error))
            raise
        log.write("end")


def where(error: BaseException) -> str | None:
    """Say where an unexpected error arose, innermost first; its text might hold a value."""
    if exit_code(error) is not ExitCode.INTERNAL:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))


def print_result(result: RunResult) -> None:
    """Print metrics by fold to stdout, and time and traffic to stderr."""
    stdout().print(result_table(*quality_table(result.metrics)))
    kind = kind_of(result.model)
    if result.model.label_half_.best_iteration is not None:
        stderr().print(
            f"early stopping kept the first {result.rounds_kept} of {result.rounds} "
            f"{kind.round_name}s"
        )
    stderr().print(
        f"trained in {format_seconds(result.seconds['train'])}, scored in "
        f"{format_seconds(result.seconds['predict'])}; sent {format_bytes(result.bytes_sent)}, "
        f"received {format_bytes(result.bytes_received)} in training"
    )
    print_times(result)


def print_times(result: RunResult) -> None:
    """Print where the time of training went, to stderr; nothing where there was one party."""
    taken = time_rows(result)
    if len({party for party, *_ in taken}) == 1:
        return
    rows = [(party, phase, format_seconds(seconds), done) for party, phase, seconds, done in taken]
    columns = ("party", "phase", "time", "operations")
    stderr().print(result_table(columns, rows, title="Where the time of training went"))
    if busy := kind_of(result.model).busy_text(result):
        stderr().print(busy)


def print_planned(planned: Sequence[Compared]) -> None:
    """Print a plan beside the truth, to stderr; nothing where none was made."""
    if not planned:
        return
    written = {"s": format_seconds, "bytes": format_bytes}
    rows = [
        (
            row.party,
            row.what,
            written[row.unit](row.planned),
            written[row.unit](row.measured),
            None if row.ratio is None else f"{row.ratio:.2f}",
        )
        for row in planned
    ]
    columns = ("party", "phase", "planned", "measured", "ratio")
    stderr().print(result_table(columns, rows, title="Plan and truth"))
