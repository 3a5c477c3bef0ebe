"""``secureboost demo``: two companies' processes train one model on this machine.

Everything is what two companies would use: their tables and configuration files, certificates,
`secureboost serve` in a process of its own, mutual TLS, and for trees 2048-bit Paillier. What only
a demo can do comes last: put both companies' tables and halves together and compare.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureboost.cli.app import command
from secureboost.cli.options import TrainerName

if TYPE_CHECKING:
    import pandas as pd

    from secureboost.kinds import Model
    from secureboost.outcome import RunData, RunResult
    from secureboost.portfolio import Portfolio

MODEL = {"max_depth": 4, "max_bin": 32, "min_child_samples": 20}
NET = {"batch_size": 256, "learning_rate": 0.002, "cut_width": 16, "dtype": "float64"}
"""In double precision, and with a stated seed, a split network is equal to the pooled one."""
TREES, EPOCHS = 20, 10
TEST_SIZE = 0.2
NETS = """
[nets]
min_batch_rows = 64
max_width = 16
"""
"""What the bureau allows of networks; with it `secureboost serve` wants torch."""
STOP_SECONDS = 10.0


@command
def demo(
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: runs/demo-<time>.")
    ] = None,
    rows: Annotated[int, typer.Option(min=500, help="Customers of both companies.")] = 10000,
    trainer: TrainerName = None,
    trees: Annotated[int, typer.Option(min=1, help="Trees.")] = TREES,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of a network.")] = EPOCHS,
    key_bits: Annotated[int, typer.Option(help="Length of the key, at least 2048.")] = 2048,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Watch a lender and a credit bureau train one model over mutual TLS, and compare it.

    Trees by default; --trainer splitnn trains a neural network that is split between them.
    """
    from secureboost.cli.aligning import common_data
    from secureboost.cli.console import stderr
    from secureboost.cli.train import label_data, remote_parties
    from secureboost.cli.training import logged, print_times, train_logged
    from secureboost.config import load_train_config
    from secureboost.keyed_table import read_keyed_table
    from secureboost.kinds import get_kind
    from secureboost.portfolio import make_raw_portfolio
    from secureboost.run import run
    from secureboost.run_folder import LOG_FILE, prepare_folder, write_run
    from secureboost.summary import make_report
    from secureboost.trainers import GBDT_TRAINER

    say = stderr().print
    kind = get_kind(trainer or GBDT_TRAINER.name)
    parameters: dict[str, Any] = MODEL | {"n_estimators": trees, "key_bits": key_bits}
    way = f"under {key_bits}-bit Paillier"
    if kind.section == "net":
        parameters, way = NET | {"n_epochs": epochs, "random_state": 0}, "a split network"
    model = kind.make_model(parameters, "")  # tells a bad value before anything is written
    out = prepare_folder(out or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}", force=force)
    portfolio = make_raw_portfolio(rows)
    lender, bureau = portfolio.lender, portfolio.bureau
    say(
        f"A lender has {len(lender):,} customers ({lender.shape[1] - 1} columns, and who "
        f"defaulted), a credit bureau {len(bureau):,} people ({bureau.shape[1]} columns)."
    )
    write_companies(out, portfolio, model.trainer.name, kind.section, parameters)
    with logged(out / "lender" / LOG_FILE) as log:
        with bureau_process(out / "bureau") as address:
            say(
                "The bureau's process listens. They find whom they have in common, then train "
                f"{way}."
            )
            config = load_train_config(
                out / "lender" / "train.toml", [f'party.bureau.address="{address}"']
            )
            keyed = read_keyed_table(config.data.file, config.data.id, config.align)
            with remote_parties(config) as parties:
                data = common_data(
                    keyed, parties, config.align, partial(label_data, config, model), log
                )
                federated = train_logged(data, parties, model, out / "lender", log)
        alone = run(data, [], kind.make_model(parameters, ""))
        twin = kind.make_model(parameters, "")
        pooled, equal = compare_pooled(data, bureau, federated, twin, out / "bureau" / "models")
        log.write("compared", federated_equals_pooled=equal)
        results = {"lender alone": alone, "federated": federated, "pooled plaintext": pooled}
        report = make_report(
            "Demo: a lender and a credit bureau",
            data,
            federated,
            models=model_results(data, results),
            main_model=1,
            verdict=verdict(equal, kind.section),
        )
        write_run(out / "lender", data, federated, report)
    print_times(federated)
    show_results(results)
    say(verdict(equal, kind.section), style="bold green" if equal else "bold red")
    say(next_steps(out, kind.section))
    if not equal:
        raise typer.Exit(7)


def write_companies(
    out: Path, portfolio: "Portfolio", trainer: str, section: str, parameters: dict[str, Any]
) -> None:
    """Write each company's folder: table, certificate and key, configuration."""
    from parties.certificates import create_certificate

    for name in ("lender", "bureau"):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in (folder / f"{name}.crt", folder / f"{name}.key"):
            old.unlink(missing_ok=True)
        create_certificate(name, folder / f"{name}.crt", folder / f"{name}.key")
    portfolio.lender.to_csv(out / "lender" / "lender.csv")
    portfolio.bureau.to_csv(out / "bureau" / "bureau.csv")
    model = "".join(f"{name} = {json.dumps(value)}\n" for name, value in parameters.items())
    (out / "lender" / "train.toml").write_text(
        f"""# The lender's side: secureboost train {out}/lender/train.toml
out = "run"
trainer = "{trainer}"
test_size = {TEST_SIZE}

[data]
file = "lender.csv"
id = "id"
target = "default"

[{section}]
{model}
[tls]
certificate = "lender.crt"
key = "lender.key"

[party.bureau]
address = "127.0.0.1:7443"
certificate = "../bureau/bureau.crt"
"""
    )
    (out / "bureau" / "serve.toml").write_text(
        f"""# The bureau's side: secureboost serve {out}/bureau/serve.toml
listen = "127.0.0.1:7443"
store = "models"

[data]
file = "bureau.csv"
id = "id"

[tls]
certificate = "bureau.crt"
key = "bureau.key"

[label_party]
certificate = "../lender/lender.crt"

[policy]
min_child_samples = 20
{NETS if section == "net" else ""}"""
    )


@contextlib.contextmanager
def bureau_process(folder: Path) -> Iterator[str]:
    """Run `secureboost serve` in a process of its own; gives the address it listens on.

    Raises
    ------
    RuntimeError
        If the process ends before it listens; the text has the end of its log.
    """
    # --once, so that it does not live on by itself if this process is killed
    command_line = [sys.executable, "-m", "secureboost", "serve", "--once"]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command_line, str(folder / "serve.toml"), "--set", 'listen="127.0.0.1:0"'],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        address = line.removeprefix("listening on ").strip()
        if not address:
            process.wait(STOP_SECONDS)
            said = (folder / "serve.log").read_text()[-500:]
            raise RuntimeError(f"the bureau's process ended; {folder / 'serve.log'} says:\n{said}")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def compare_pooled(
    data: "RunData",
    bureau: "pd.DataFrame",
    federated: "RunResult",
    twin: "Model",
    halves: Path,
) -> tuple["RunResult", bool]:
    """Train the plaintext twin on the pooled columns; whether model and scores are equal."""
    from secureboost.kinds import kind_of
    from secureboost.partners import pool_tables
    from secureboost.run import run

    table, owner = pool_tables(data.X, {"bureau": bureau})
    pooled = run(replace(data, X=table, column_owner=owner), [], twin)
    model = kind_of(twin).same_model(federated.model, pooled.model, owner, halves)
    return pooled, model and bool((federated.scores == pooled.scores).all())


def model_results(data: "RunData", results: dict[str, "RunResult"]) -> list[object]:
    """Rows of the report's table."""
    from secureboost.report import ModelResult

    return [
        ModelResult(
            name,
            result.scores[data.folds["test"]],
            result.seconds["train"],
            result.bytes_sent or None,
            result.bytes_received or None,
        )
        for name, result in results.items()
    ]


def show_results(results: dict[str, "RunResult"]) -> None:
    """Print the comparison."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.units import format_bytes, format_seconds

    rows = [
        (
            name,
            *(result.quality.values[metric] for metric in ("auc", "ks", "gini")),
            format_seconds(result.seconds["train"]),
            format_bytes(result.bytes_sent) if result.bytes_sent else None,
            format_bytes(result.bytes_received) if result.bytes_received else None,
        )
        for name, result in results.items()
    ]
    columns = ("model", "AUC", "KS", "Gini", "training", "sent", "received")
    stdout().print(result_table(columns, rows, title="On the held-out customers"))


def verdict(equal: bool, section: str) -> str:
    """Say whether the promise was kept."""
    if equal:
        parts = "every weight" if section == "net" else "every split, every leaf"
        return (
            "The federated model equals the pooled plaintext model exactly: "
            f"{parts} and every score."
        )
    return (
        "The federated model DIFFERS from the pooled plaintext model. This is a fault; report it."
    )


def next_steps(out: Path, section: str) -> str:
    """Say where everything lies and what to try."""
    program = "secureboost"
    if shutil.which(program) is None:  # `make demo` installs into .venv, which is not on the path
        program = os.path.relpath(Path(sys.executable).with_name(program))
    net = section == "net"
    half = "label.safetensors" if net else "label.json"
    keys = "" if net else "; the Paillier key lived for the run only"
    setting = "net.in_flight=2" if net else "model.max_depth=5"
    return f"""
Lender:  half of the model  {out}/lender/model/{half}
         report             {out}/lender/report.html
         scores, log        {out}/lender/scores.csv, {out}/lender/log.jsonl
Bureau:  half of the model  {out}/bureau/models/
         log                {out}/bureau/serve.log
Keys of both certificates lie beside them{keys}.

Try next, in two terminals, as two companies would:
  {program} serve {out}/bureau/serve.toml
  {program} train {out}/lender/train.toml --set {setting}
or what each message reveals:
  {program} messages{" --trainer splitnn" if net else ""}"""
