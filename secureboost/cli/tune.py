"""``secureboost tune``: a search for parameters between companies, within a time."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureboost.cli.app import command
from secureboost.cli.options import RegistryFile

if TYPE_CHECKING:
    from rich.table import Table

    from secureboost.cli.validating import Problem
    from secureboost.validation import Trial, TuneResult

BEST_FILE, CSV_FILE = "best.toml", "trials.csv"


@command
def tune(
    config: Annotated[Path, typer.Argument(help="TOML file, as of `secureboost train`.")],
    seconds: Annotated[
        float | None, typer.Option(help="Begin no trial that would probably end later.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts that the rows are drawn into.")] = 3,
    space: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of what to draw from: max_depth = [3, 4, 5], learning_rate = "
            "{ low = 0.01, high = 0.3, log = true }. By default common values of six parameters."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the draws.")] = 0,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    out: Annotated[Path, typer.Option(help=f"Folder for {BEST_FILE} and {CSV_FILE}.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace what is in OUT.")] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Of the key file, if the configuration names one.")
    ] = None,
    registry: RegistryFile = None,
) -> None:
    """Search for good parameters with other companies, at random and within a time.

    Takes the configuration of `train` and cross-validates each trial, all over one connection and
    one key. The files are written after every trial: the best parameters as a `model` table, and
    all trials. Rows that the configuration holds out are left alone, to judge the model that you
    train with what was found.
    """
    from secureboost.cli.console import stderr, stdout
    from secureboost.cli.fold_progress import FoldProgress
    from secureboost.cli.space import read_space
    from secureboost.cli.train import parameters_of
    from secureboost.cli.validating import (
        check_outputs,
        connected,
        metrics_at_best,
        read_problem,
        say_cost,
    )
    from secureboost.errors import ConfigError
    from secureboost.validation import rank
    from secureboost.validation import tune as search

    if seconds is None and trials is None:
        raise ConfigError("give --seconds, --trials or both; tuning has no end of its own")
    if seconds is not None and not seconds > 0:
        raise ConfigError(f"{seconds:g} must be above 0", "--seconds")
    problem = read_problem(config, settings, folds, passphrase_file)
    drawn_from = (
        None if space is None else read_space(space, problem.model, parameters_of(problem.config))
    )
    check_outputs(out, (BEST_FILE, CSV_FILE), force=force)
    with connected("tune", problem, out, registry) as (problem, parties, record):
        console = stderr()
        done: list[Trial] = []
        progress = FoldProgress(
            *(folds, problem.model.n_estimators, console),
            tuning=True,
            n_trials=trials,
            seconds=seconds,
        )

        def on_trial(trial: "Trial") -> None:
            done.append(trial)
            best = rank(done)
            write_files(out, problem, best, len(done))
            record.parameters.update(best.best_params, trials=len(done))
            record.metrics = metrics_at_best(best.best_result, len(problem.y))
            record.rounds = best.best_result.best_iteration + 1
            console.print(trial_line(trial, best))

        try:
            with progress:
                search(
                    problem.model,
                    problem.X,
                    problem.y,
                    parties=parties,
                    space=drawn_from,
                    seconds=seconds,
                    n_trials=trials,
                    folds=problem.splits,
                    random_state=seed,
                    make_key=problem.make_key,
                    on_trial=on_trial,
                    on_round=progress.show_round,
                )
        finally:
            if done:
                stdout().print(trial_table(done))
                say_best(out, problem, rank(done), (str(config), settings))
    say_cost(f"{len(done)} trials", "tune", record)


def trial_line(trial: "Trial", best: "TuneResult") -> str:
    """A trial as it is told when it has ended."""
    from secureboost.units import format_seconds

    result = trial.result
    mark = "best so far" if best.trials.index[0] == trial.number else ""
    return (
        f"trial {trial.number:>3}  {result.metric} {result.best_score:.4f}  {mark:<11}  "
        f"{format_seconds(trial.seconds):>9}  {params_text(trial.params)}"
    )


def trial_table(done: Sequence["Trial"]) -> "Table":
    """All trials, best first."""
    from secureboost.cli.console import result_table
    from secureboost.units import format_seconds
    from secureboost.validation import rank

    by_number = {trial.number: trial for trial in done}
    rows = [
        (
            str(trial.number),
            trial.result.best_score,
            trial.result.deviation,
            trial.result.best_iteration + 1,
            format_seconds(trial.seconds),
            params_text(trial.params),
        )
        for trial in map(by_number.__getitem__, rank(done).trials.index)
    ]
    metric = f"test {done[0].result.metric}"
    heads = ("trial", metric, "deviation", "rounds", "time", "parameters")
    return result_table(heads, rows, title="Trials, best first", texts=("parameters",))


def say_best(
    out: Path, problem: "Problem", result: "TuneResult", given: tuple[str, Sequence[str]]
) -> None:
    """Say where the best parameters are, and how to train with them what was given."""
    from secureboost.cli.console import stderr

    chosen = {**result.best_params, **rounds_to_train(problem, result)}
    config, settings = given
    new = {f"model.{name}": f"model.{name}={toml_text(value)}" for name, value in chosen.items()}
    kept = [setting for setting in settings if setting.partition("=")[0].strip() not in new]
    words = [
        f"secureboost train {shlex.quote(config)}",
        *(f"--set {shlex.quote(setting)}" for setting in (*kept, *new.values())),
    ]
    stderr().print(f"Written: {out / BEST_FILE}, {out / CSV_FILE}. To train with the best:")
    stderr().print("  " + " ".join(words), soft_wrap=True)


def rounds_to_train(problem: "Problem", result: "TuneResult") -> dict[str, int]:
    """As many rounds as the best trial was best after, unless training finds out by itself."""
    own = problem.model.early_stopping_rounds
    if result.best_params.get("early_stopping_rounds", own) is not None:
        return {}
    return {"n_estimators": result.best_result.best_iteration + 1}


def write_files(out: Path, problem: "Problem", result: "TuneResult", n_trials: int) -> None:
    """Write the best parameters and all trials so far."""
    from secureboost.files import write_atomically

    best = result.best_result
    model = {**problem.config.model, **result.best_params, **rounds_to_train(problem, result)}
    lines = [
        f"# The best of {n_trials} trials of `secureboost tune`: {best.metric} "
        f"{best.best_score:.4f} on the test rows",
        f"# of {len(best.folds)} folds (deviation {best.deviation:.4f}), after "
        f"{best.best_iteration + 1} rounds. To use it, put it in place of",
        "# [model] in the configuration.",
        "",
        "[model]",
        *(f"{name} = {toml_text(value)}" for name, value in model.items()),
        "",
    ]
    write_atomically(out / BEST_FILE, "\n".join(lines).encode())
    write_atomically(out / CSV_FILE, result.trials.to_csv().encode())


def params_text(params: dict[str, Any]) -> str:
    """Parameters in a line."""
    return ", ".join(f"{name}={toml_text(value)}" for name, value in params.items())


def toml_text(value: object) -> str:
    """Write a value as TOML."""
    import json

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = (f"{toml_text(key)} = {toml_text(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_text, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
