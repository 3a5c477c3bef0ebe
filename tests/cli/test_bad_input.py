"""What somebody reads who has made a mistake: what is wrong, where, what to do, and the code."""

import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from support.cli import run
from support.companies import make_companies, sets

from crypto.keyfile import write_private_key
from crypto.paillier import PaillierScheme
from parties.certificates import create_certificate

NOBODY = "party.bureau.timeout=1"  # no test here gets as far as to wait for it


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    companies = make_companies(folder)
    old = datetime.now(UTC) - timedelta(days=9)
    create_certificate("bureau", folder / "old.crt", folder / "old.key", days=1, valid_from=old)
    return companies


@pytest.fixture
def companies(made, tmp_path):
    """Folders of their own for each test, with the same certificates."""
    shutil.copytree(made.folder, tmp_path / "c")
    return type(made)(tmp_path / "c")


def train(companies, *settings, **environment):
    done = run("train", companies.train_toml, *sets((NOBODY, *settings)), **environment)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert companies.left() <= {"log.jsonl"}
    return done


def serve(companies, *settings):
    done = run("serve", companies.serve_toml, *sets(settings))
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ("modle.max_depth=3", 3, "modle: there is no such setting. Did you mean 'model'?"),
        ("model.max_dept=3", 3, "model.max_dept: there is no such setting. Did you mean"),
        ("model.max_depth=-1", 3, "model: max_depth=-1 must be at least 0"),
        ("model.scheme=plain", 3, "model.scheme: 'plain' encrypts nothing"),
        ("model.key_bits=1024", 8, "key_bits=1024 is insecure"),
        ("party.bureau.adress='a:1'", 3, "party.bureau.adress: there is no such setting."),
        ("party.bureau.listen='a:1'", 3, "party.bureau.address: give exactly one of 'address'"),
        ("party.bureau.address='a'", 3, "party.bureau.address: 'a' is not host:port"),
        ("test_size=2", 3, "test_size: 2 cannot be used: it must be below 1.0"),
        ("trainer='nn'", 3, "trainer: 'nn' is not a trainer; there is: secureboost, splitnn."),
        ("key='none.json'", 8, "lender/none.json: there is no such file"),
        ("out='lender.csv'", 3, "lender.csv is a file; a run needs a folder"),
        ("out='/dev/null/run'", 3, "out: /dev/null/run cannot be made: Not a directory"),
        ("data.file='none.csv'", 4, "lender/none.csv: there is no such file."),
        ("data.file='lender.txt'", 4, "cannot tell the format from the ending '.txt'"),
        ("data.id='ID'", 4, "lender.csv: there is no id column 'ID'. Did you mean 'id'?"),
        ("data.target='bda'", 4, "there is no target column 'bda'. Did you mean 'bad'?"),
        ("data.target='age'", 4, "lender.csv: the label has 60 classes in 60 rows"),
        ("data.positive=3", 4, "lender.csv: positive=3 is neither of the label's two classes"),
        ("tls.certificate='none.crt'", 8, "cannot read certificate"),
        ("tls.key='../bureau/bureau.key'", 8, "bureau.key is not the key of the certificate"),
        ("party.bureau.certificate='lender.csv'", 8, "lender.csv holds no certificate in PEM"),
        ("party.bureau.certificate='lender.crt'", 8, "lender.crt is the certificate of 'lender'."),
        ("party.bureau.certificate='../old.crt'", 8, "old.crt expired on"),
    ],
)
def test_train_checks_everything_before_it_connects(companies, setting, code, message):
    done = train(companies, setting)
    assert done.exit_code == code
    assert message in done.stderr
    assert "dialling" not in done.stderr
    assert companies.left() == set()


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ("listn='a:1'", 3, "listn: there is no such setting. Did you mean 'listen'?"),
        ("dial='a:1'", 3, "dial: give exactly one of 'dial' (we dial) and 'listen' (we wait)"),
        ("listen='192.0.2.1:7443'", 3, "cannot listen on 192.0.2.1:7443: the port is in use or"),
        ("store='bureau.csv'", 3, "bureau.csv cannot be made: File exists"),
        ("store='/dev/null/models'", 3, "store: /dev/null/models cannot be made"),
        ("policy.max_bin=300", 3, "policy.max_bin: 300 cannot be used: it must be at most 255"),
        ("data.file='none.csv'", 4, "bureau/none.csv: there is no such file."),
        ("data.target='x'", 3, "data.target: there is no such setting. Known here: file, id, cat"),
        ("tls.key='none'", 8, "cannot read key"),
        ("label_party.certificate='../old.crt'", 8, "old.crt expired on"),
    ],
)
def test_serve_checks_everything_before_it_listens(companies, setting, code, message):
    done = serve(companies, setting)
    assert done.exit_code == code
    assert message in done.stderr
    assert "listening" not in done.stdout


def test_a_key_that_others_can_read_is_refused(companies):
    (companies.lender / "lender.key").chmod(0o644)
    (companies.bureau / "bureau.key").chmod(0o640)
    done = train(companies)
    assert done.exit_code == 8
    assert "lender.key can be read by others (mode 644); run: chmod 600" in done.stderr
    done = serve(companies)
    assert done.exit_code == 8
    assert "bureau.key can be read by others (mode 640); run: chmod 600" in done.stderr


def test_a_port_in_use_is_told_before_a_key_is_made(companies):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        way = f"{{listen='{address}', certificate='../bureau/bureau.crt'}}"
        for done in (
            run("train", companies.train_toml, *sets((f"party.bureau={way}",))),
            serve(companies, f"listen='{address}'"),
        ):
            assert done.exit_code == 3
            assert f"cannot listen on {address}: the port is in use" in done.stderr
    assert companies.left() == set()


def test_a_party_that_cannot_be_reached(companies):
    done = train(companies)
    assert done.exit_code == 5
    assert "dialling bureau at 127.0.0.1:1, for up to 1 s" in done.stderr
    assert "bureau: nobody listens on 127.0.0.1:1 (tried for 1 seconds)" in done.stderr
    way = "{listen='127.0.0.1:0', certificate='../bureau/bureau.crt', timeout=0.2}"
    done = run("train", companies.train_toml, *sets((f"party.bureau={way}",)))
    assert done.exit_code == 5
    assert "waiting for bureau to dial 127.0.0.1:" in done.stderr
    assert "within 0.2 seconds; is it running, does it dial this address" in done.stderr


def test_key_files_are_checked_before_anything_begins(companies):
    key = PaillierScheme().generate(2048)
    write_private_key(companies.lender / "key.json", key, "right passphrase")
    chosen = ("key='key.json'", "model.key_bits=3072")
    done = train(companies, *chosen, SECUREBOOST_PASSPHRASE="wrong passphrase")
    assert done.exit_code == 8
    assert "passphrase" in done.stderr
    done = train(companies, *chosen, SECUREBOOST_PASSPHRASE="right passphrase")
    assert done.exit_code == 3
    assert "model.key_bits: is 3072, but the key in" in done.stderr
    done = train(companies, chosen[0], "model.scheme=phe")
    assert done.exit_code == 3
    assert "model.scheme: is 'phe', but" in done.stderr
    assert "holds a Paillier key; leave it out" in done.stderr
    done = train(companies, chosen[0], SECUREBOOST_PASSPHRASE="right passphrase")
    assert done.exit_code == 5  # the key is good, and nobody listens


def set_cell(frame, column, value):
    frame = frame.astype({column: object})
    frame.loc[6, column] = value
    return frame


CHANGES = {
    "infinite": (
        lambda table: set_cell(table, "age", np.inf),
        "column 'age' is infinite or beyond the range of 32-bit floats (about 3.4e38) in 1 row "
        "(data row 7). Clip such values",
    ),
    "missing label": (
        lambda table: set_cell(table, "bad", None),
        "lender.csv: the label is missing in 1 row (data row 7). Drop those rows.",
    ),
    "one class": (lambda table: table.assign(bad=1), "the label has one class in 60 rows"),
    "three classes": (
        lambda table: set_cell(table, "bad", 2),
        "the label has 3 classes in 60 rows",
    ),
    "named classes": (
        lambda table: table.assign(bad=["good", "bad"] * 30),
        "Name the class to predict: --positive on the command line, positive in [data].",
    ),
    "missing id": (
        lambda table: set_cell(table, "id", None),
        "lender.csv: the id is blank in 1 row (data row 7). Give every row an id",
    ),
    "repeated id": (
        lambda table: set_cell(table, "id", "C00001"),
        "lender.csv: ids occur more than once in 2 rows (data rows 2 and 7). Keep one row per id.",
    ),
    "no rows": (lambda table: table.iloc[:0], "lender.csv: the file has a header but no rows."),
    "no features": (lambda table: table[["id", "bad"]], "no feature column is left."),
}


@pytest.mark.parametrize("name", CHANGES)
def test_tables_that_cannot_be_used(companies, name):
    change, message = CHANGES[name]
    file = companies.lender / "lender.csv"
    change(pd.read_csv(file)).to_csv(file, index=False)
    done = train(companies)
    assert done.exit_code == 4
    assert done.stderr.splitlines()[0] == "Bad data"
    assert message in done.stderr
    assert companies.left() == set()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "bureau.csv: the file is empty."),
        (b"id,late\nA,1\nB", "bureau.csv: data row 2 (line 3) has 1 fields but the header has 2."),
        (b"id;late\nA;1\n", "bureau.csv: the fields are not separated by commas."),
        (b"\xff\xfe\x00", "bureau.csv: the file is not UTF-8 text."),
        (b"id,late,late\nA,1,2\n", "column names occur more than once: 'late'"),
    ],
)
def test_files_that_cannot_be_read(companies, content, message):
    (companies.bureau / "bureau.csv").write_bytes(content)
    done = serve(companies)
    assert done.exit_code == 4
    assert message in done.stderr


def test_tables_without_a_common_row(companies):
    bureau = pd.read_csv(companies.bureau / "bureau.csv")
    bureau["id"] = "0" + bureau["id"]
    bureau.to_csv(companies.bureau / "bureau.csv", index=False)
    done = run(
        *("simulate", "--label", companies.lender / "lender.csv", "--target", "bad", "--id", "id"),
        *("--party", f"bureau={companies.bureau / 'bureau.csv'}", "--out", companies.out),
    )
    assert done.exit_code == 4
    assert "No id is common with 'bureau'. Keys were made by the rules exact" in done.stderr
    assert companies.left() == {"log.jsonl"}


def test_predict_checks_what_it_is_given(companies, tmp_path):
    files = {
        "label": companies.lender / "lender.csv",
        "bureau": companies.bureau / "bureau.csv",
    }
    settings = sets(("scheme=plain", "n_estimators=1", "max_depth=2"))
    made = run(
        *("simulate", "--label", files["label"], "--target", "bad", "--id", "id", *settings),
        *("--party", f"bureau={files['bureau']}", "--out", tmp_path / "run"),
    )
    assert made.exit_code == 0

    def predict(*more, model=tmp_path / "run" / "model", data=files["label"]):
        done = run("predict", model, "--data", data, "--id", "id", *more)
        assert done.stdout == ""
        return done.exit_code, done.stderr

    bureau = ("--party", f"bureau={files['bureau']}")
    for expected, message, given in (
        (3, "--party for tables here or --config", (*bureau, "--config", companies.train_toml)),
        (3, "is a folder; name a file in it", (*bureau, "--out", tmp_path)),
        (3, "exists; name another file, or --force", (*bureau, "--out", files["label"])),
        (3, "is no folder that can be written into", (*bureau, "--out", tmp_path / "a" / "b.csv")),
        (7, "The model was trained with 'bureau', which is not among the parties", ()),
    ):
        code, text = predict(*given)
        assert (code, message in text) == (expected, True), text
    code, text = predict(*bureau, model=tmp_path)
    assert code == 7
    assert "label.json" in text
    table = pd.read_csv(files["label"]).rename(columns={"age": "agee"})
    table.to_csv(tmp_path / "renamed.csv", index=False)
    code, text = predict(*bureau, data=tmp_path / "renamed.csv")
    assert code == 4
    assert "renamed.csv: the model needs columns that are not there: 'age'. Did you mean" in text
    table = pd.read_csv(files["bureau"]).drop(columns="limit")
    table.to_csv(tmp_path / "short.csv", index=False)
    code, text = predict("--party", f"bureau={tmp_path / 'short.csv'}")
    assert code == 6
    assert "this party's table has other columns than the model's" in text


def test_examples_can_be_read_and_are_not_replaced(tmp_path):
    for name in ("train", "serve"):
        assert run(name, "--example", tmp_path / f"{name}.toml").exit_code == 0
        done = run(name, "--example", tmp_path / f"{name}.toml")
        assert (done.exit_code, "the file exists; name another" in done.stderr) == (3, True)
        done = run(name, tmp_path / f"{name}.toml")
        assert done.exit_code in (4, 8)  # its files are not there
        assert "no such file" in done.stderr.lower()
    done = run("train", tmp_path / "none.toml")
    assert (done.exit_code, "none.toml: there is no such file" in done.stderr) == (3, True)


def test_a_reader_that_goes_away_ends_a_command_quietly():
    with subprocess.Popen(
        [sys.executable, "-m", "secureboost", "messages"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
