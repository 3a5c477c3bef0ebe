"""What `train` and `simulate` do once the tables are read: train, show, write."""

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from crypto.scheme import PrivateKey
from secureboost.api import SecureBoostClassifier
from secureboost.cli.console import exit_code, result_table, stderr, stdout
from secureboost.cli.progress import TrainingProgress
from secureboost.cli.runlog import RunLog
from secureboost.errors import ExitCode
from secureboost.party import Party
from secureboost.planning import Link, Rates, calibrate
from secureboost.planning.compare import Compared
from secureboost.run import LOG_FILE, RunData, RunResult, run, write_run
from secureboost.summary import (
    busy_text,
    make_report,
    plan_and_truth,
    plan_of_run,
    time_rows,
)
from secureboost.units import format_bytes, format_seconds


def train_and_report(
    data: RunData,
    parties: Sequence[Party],
    model: SecureBoostClassifier,
    out: Path,
    *,
    title: str,
    make_key: Callable[[], PrivateKey] | None = None,
    plan_over: Link | None = None,
) -> RunResult:
    """Train with a progress bar, write the run's folder, print the result.

    Parameters
    ----------
    data : RunData
    parties : sequence of Party
    model : SecureBoostClassifier
    out : Path
        The prepared folder.
    title : str
        Of the report.
    make_key : callable, optional
        See `run.run`.
    plan_over : Link, optional
        Calibrate before, and show afterwards what was to be expected over this line.
    """
    with logged(out / LOG_FILE) as log:
        rates = calibrated(model) if plan_over else None
        result = train_logged(data, parties, model, out, log, make_key=make_key)
        planned: list[Compared] = []
        if rates and plan_over:
            planned = plan_and_truth(plan_of_run(data, result, rates, plan_over), result)
        write_run(out, data, result, make_report(title, data, result), planned=planned)
        log.write("written", folder=str(out))
    print_result(result)
    print_planned(planned)
    stderr().print(f"Model, metrics, scores, report.html and log: {out}")
    return result


def calibrated(model: SecureBoostClassifier) -> Rates:
    """Time this machine at the model's key length, saying so."""
    stderr().print("Timing this machine for some 5 s ...")
    n_jobs = -1 if model.n_jobs is None else model.n_jobs
    return calibrate(model.key_bits, n_jobs=n_jobs)


def train_logged(
    data: RunData,
    parties: Sequence[Party],
    model: SecureBoostClassifier,
    out: Path,
    log: RunLog,
    *,
    make_key: Callable[[], PrivateKey] | None = None,
) -> RunResult:
    """Train with a progress bar and a line in the log per tree; the model goes into `out`."""
    log.write(
        "begin",
        rows=len(data.y),
        own_columns=data.X.shape[1],
        parties=", ".join(party.name for party in parties),
        test_size=data.test_size,
    )

    def bytes_sent() -> int:
        traffic = [party.peer.traffic for party in parties if party.peer is not None]
        return sum(t.bytes_sent for by_request in traffic for t in by_request.values())

    with TrainingProgress(model.n_estimators, bytes_sent) as bar:

        def progress(trees: int, metric: str) -> None:
            bar.update(trees, metric)
            log.write("tree", trees=trees, metric=metric)

        result = run(data, parties, model, out=out, progress=progress, make_key=make_key)
    log.write(
        "trained",
        model_id=result.model.label_half_.model_id,
        seconds=result.seconds["train"],
        bytes_sent=result.bytes_sent,
        bytes_received=result.bytes_received,
    )
    return result


@contextlib.contextmanager
def logged(path: Path) -> Iterator[RunLog]:
    """Open a run's log and note how the run ended."""
    logging.getLogger().addHandler(logging.NullHandler())
    # A first compilation says so; without the line it would look like a hang.
    logging.getLogger("crypto").addHandler(logging.lastResort or logging.StreamHandler())
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
    rows = [
        (name, m.rows, m.auc, m.ks, m.gini, m.log_loss, m.brier)
        for name, m in result.metrics.items()
    ]
    stdout().print(result_table(("fold", "rows", "AUC", "KS", "Gini", "log-loss", "Brier"), rows))
    stderr().print(
        f"trained in {format_seconds(result.seconds['train'])}, scored in "
        f"{format_seconds(result.seconds['predict'])}; sent {format_bytes(result.bytes_sent)}, "
        f"received {format_bytes(result.bytes_received)} in training"
    )
    print_times(result)


def print_times(result: RunResult) -> None:
    """Print where the time of training went, to stderr; nothing where there was one party."""
    if len(result.model.times_) == 1:
        return
    rows = [
        (party, phase, format_seconds(seconds), done)
        for party, phase, seconds, done in time_rows(result)
    ]
    columns = ("party", "phase", "time", "operations")
    stderr().print(result_table(columns, rows, title="Where the time of training went"))
    stderr().print(busy_text(result))


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
