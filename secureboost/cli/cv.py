"""``secureboost cv``: cross-validation between companies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command
from secureboost.cli.options import RegistryFile

if TYPE_CHECKING:
    from secureboost.cli.validating import Problem
    from secureboost.monitor import History
    from secureboost.runs import Record
    from secureboost.validation import CVResult, Round

CSV_FILE, JSON_FILE = "cv.csv", "cv.json"


@command
def cv(
    config: Annotated[Path, typer.Argument(help="TOML file, as of `secureboost train`.")],
    folds: Annotated[int, typer.Option(min=2, help="Parts that the rows are drawn into.")] = 5,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None, typer.Option(help=f"Folder for {CSV_FILE} (each round) and {JSON_FILE}.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in OUT.")] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Of the key file, if the configuration names one.")
    ] = None,
    registry: RegistryFile = None,
) -> None:
    """Cross-validate with other companies: how good a model will be, and after how many rounds.

    Takes the configuration of `train`. The training rows are drawn into folds by its `seed`; each
    is predicted by a model of the others, over one connection and one key. No model is kept. Rows
    that the configuration holds out are left alone.
    """
    from secureboost.cli.console import stderr
    from secureboost.cli.fold_progress import FoldProgress
    from secureboost.cli.validating import (
        check_outputs,
        connected,
        metrics_at_best,
        read_problem,
        say_cost,
    )
    from secureboost.validation import cv as cross_validate

    problem = read_problem(config, settings, folds, passphrase_file)
    if out is not None:
        check_outputs(out, (CSV_FILE, JSON_FILE), force=force)
    with connected("cv", problem, out, registry) as (problem, parties, record):
        seen: list[Round] = []  # the latest round of each fold
        progress = FoldProgress(folds, problem.model.n_estimators, stderr())

        def on_round(now: "Round") -> None:
            seen[now.fold - 1 :] = [now]
            progress.show_round(now)

        try:
            with progress:
                result = cross_validate(
                    problem.model,
                    problem.X,
                    problem.y,
                    parties=parties,
                    folds=problem.splits,
                    make_key=problem.make_key,
                    on_round=on_round,
                )
        except BaseException:
            show_part(problem, seen)
            raise
        record.rounds = len(result.history)
        record.metrics = metrics_at_best(result, len(problem.y))
    if out is not None:
        write_files(out, problem, result, record)
    print_folds(result)
    if result.best_iteration + 1 == problem.model.n_estimators:
        stderr().print("The last round is the best one: try more, --set model.n_estimators=...")
    say_cost(f"{folds} trainings", "cv", record)
    if out is not None:
        stderr().print(f"Written: {out / CSV_FILE}, {out / JSON_FILE}")


def print_folds(result: "CVResult", before: str = "") -> None:
    """Print what each fold reaches in the best round, the mean and the deviation."""
    from secureboost.cli.console import result_table, stdout

    best = result.best_iteration
    parts = {part: list(by_metric) for part, by_metric in result.folds[0].items()}
    names = [(part, metric) for part, metrics in parts.items() for metric in metrics]
    rows: list[tuple[object, ...]] = [
        (
            f"{number}",
            rounds_of(history),
            *(history[part][metric][best] for part, metric in names),
        )
        for number, history in enumerate(result.folds, start=1)
    ]
    for name, column in (("mean", "mean"), ("deviation", "std")):
        values = result.history.iloc[best]
        means = (float(values[f"{part}-{metric}-{column}"]) for part, metric in names)
        rows.append((name, None, *means))
    heads = ("fold", "rounds", *(f"{part} {metric}" for part, metric in names))
    after = f"After {best + 1} round{'s' * (best > 0)}"
    # not as the table's title, which would be as narrow as the table
    stdout().print(f"{before}{after}, the best by the mean of test {result.metric}:", style="bold")
    stdout().print(result_table(heads, rows))


def show_part(problem: "Problem", seen: "list[Round]") -> None:
    """Show what folds have measured that were all; the fold under way on stderr."""
    from secureboost.cli.console import stderr
    from secureboost.progress import metric_text
    from secureboost.validation import summarise

    if not seen:
        return
    last = seen[-1]
    whole = seen if last.rounds == last.n_rounds else seen[:-1]
    if whole:
        metric = problem.metric
        result = summarise([now.history for now in whole], metric.name, metric.maximise)
        print_folds(result, f"Only {len(whole)} of {last.n_folds} folds. ")
    if last not in whole:
        stderr().print(
            f"Fold {last.fold} had {last.rounds} of {last.n_rounds} rounds: "
            f"{metric_text(last.history)}"
        )


def write_files(out: Path, problem: "Problem", result: "CVResult", record: "Record") -> None:
    """Write the history of all rounds, and everything that a program may want."""
    import msgspec

    from secureboost.files import write_atomically

    table = result.history.to_csv(index_label="round")
    write_atomically(out / CSV_FILE, table.encode())
    found = {
        "metric": result.metric,
        "maximise": result.maximise,
        "best_iteration": result.best_iteration,
        "best_score": result.best_score,
        "deviation": result.deviation,
        "folds": result.folds,
        "rows": len(problem.y),
        "rows_held_out": len(problem.data.y) - len(problem.y),
        "parties": record.parties,
        "parameters": record.parameters,
        "seconds": record.seconds["cv"],
        "bytes_sent": record.bytes_sent,
        "bytes_received": record.bytes_received,
    }
    write_atomically(out / JSON_FILE, msgspec.json.format(msgspec.json.encode(found)))


def rounds_of(history: "History") -> int:
    """Rounds of a fold; fewer than asked for where it stopped early."""
    from secureboost.validation import TEST

    return len(next(iter(history[TEST].values())))
