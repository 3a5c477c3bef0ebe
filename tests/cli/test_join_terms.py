"""Two processes that join rows by time in different ways: it is said, and costs nothing."""

import contextlib

import pandas as pd
import pytest
from support.cli import run
from support.companies import address, make_companies, sets, two_tables

from parties.certificates import TLS
from parties.errors import PeerRefusedError
from secureboost import RemoteParty, SecureBoostClassifier

TIMED = ("data.file='dated.csv'", "align.time=day", "align.window=30d")
COMMANDS = ("align", "train", "count", "predict", "cv", "tune")


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    """Each with a table of one row a customer, with and without a column of days; and a model."""
    made = make_companies(tmp_path_factory.mktemp("companies"))
    days = pd.date_range("2023-01-01", periods=60).strftime("%Y-%m-%d")
    for folder, table in zip((made.lender, made.bureau), two_tables(60), strict=True):
        table.assign(day=days).to_csv(folder / "dated.csv")
    with made.serve() as process:
        done = run("train", made.train_toml, *sets((address(process),)))
        assert done.exit_code == 0, done.stderr
    return made


@pytest.fixture
def serve(companies):
    """Starts the bureau with other settings; the one before ends."""
    with contextlib.ExitStack() as closing:

        def start(*settings):
            closing.close()
            return address(closing.enter_context(companies.serve(*settings)))

        yield start


def ask(companies, command, where, out, own):
    """Run a command of the label party."""
    settings = sets((where, *own))
    config = companies.train_toml
    arguments = {
        "align": ("align", config, "--out", out / "found"),
        "count": ("align", config, "--size-only"),
        "train": ("train", config, *sets((f"out='{out / 'run'}'",))),
        "predict": ("predict", companies.out / "model", "--config", config),
        "cv": ("cv", config, "--folds", 2),
        "tune": ("tune", config, "--folds", 2, "--trials", 1, "--out", out / "tuned"),
    }[command]
    return run(*arguments, *settings, COLUMNS="300")


def kept(companies):
    """What the bureau keeps of alignments, and of how much it has let be compared."""
    folder = companies.bureau / "models" / "alignments"
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("own", "theirs", "commands", "text"),
    [
        ((), TIMED, COMMANDS, "rows are joined by time at this party (as-of: unit days, window 30"),
        (TIMED, (), COMMANDS[:4], "rows are joined by time at the label party (as-of: unit days, "),
        (
            TIMED,
            (*TIMED, "align.window=60d"),
            COMMANDS[:2],
            "window is 30 at the label party and 60 at this party",
        ),
        (
            TIMED,
            (*TIMED, "align.window=30h"),
            COMMANDS[:2],
            "unit is 'days' at the label party and 'seconds' at this party",
        ),
    ],
)
def test_commands_are_refused_and_cost_nothing(
    companies, serve, tmp_path, own, theirs, commands, text
):
    where, before = serve(*theirs), kept(companies)
    for command in commands:
        done = ask(companies, command, where, tmp_path, own)
        assert done.exit_code == 6, (command, done.output)
        assert "bureau: refused (join_terms_differ): the terms of the join differ: " in done.stderr
        assert text in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert kept(companies) == before
    assert not (tmp_path / "found").exists()
    right = ask(companies, "align", where, tmp_path, theirs)
    assert right.exit_code == 0, right.stderr  # the bureau is free


def test_from_python(companies, serve):
    where, before = serve(*TIMED), kept(companies)
    lender = companies.lender
    tls = TLS(lender / "lender.crt", lender / "lender.key", companies.bureau / "bureau.crt")
    party = RemoteParty("bureau", where.split("'")[1], tls=tls)
    own, _ = two_tables(60)
    with pytest.raises(PeerRefusedError, match="rows are joined by time at this party"):
        SecureBoostClassifier(n_estimators=1).fit(
            own.drop(columns="bad"), own["bad"], parties=[party]
        )
    assert kept(companies) == before
