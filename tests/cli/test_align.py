"""`secureboost align`, and tables that do not agree in `train` and `predict`: two processes."""

import json
import re
import signal
import socket

import numpy as np
import pandas as pd
import pytest
from support.cli import run
from support.companies import Process, address, make_companies, sets, two_tables

from secureboost.alignment import read_alignment

COMMON = [f"C{number:05d}" for number in range(20, 80)]


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    """Customers 0 to 79 are the lender's, 20 to 99 the bureau's, who has them in reverse."""
    made = make_companies(tmp_path_factory.mktemp("companies"), rows=100)
    lender, bureau = two_tables(100)
    lender.iloc[:80].to_csv(made.lender / "lender.csv")
    bureau.iloc[:19:-1].to_csv(made.bureau / "bureau.csv")
    return made


@pytest.fixture(scope="module")
def served(companies):
    """The bureau's `serve`, and the setting with which the lender finds it."""
    with companies.serve() as process:
        yield process, address(process)


@pytest.fixture(scope="module")
def expected(companies, served, tmp_path_factory):
    """Scores of the lender's common rows, from tables that agree."""
    lender, bureau = two_tables(100)
    agreed = make_companies(tmp_path_factory.mktemp("agreed"), rows=100)
    lender.loc[COMMON].to_csv(agreed.lender / "lender.csv")
    bureau.loc[COMMON].to_csv(agreed.bureau / "bureau.csv")
    with agreed.serve() as process:
        done = run("train", agreed.train_toml, *sets((address(process),)))
        assert done.exit_code == 0, done.stderr
        assert "rows: label party 60, bureau 60; common 60" in done.stderr
        assert not (agreed.out / "aligned").exists()
    assert process.text.count("an alignment begins") == 0
    return (agreed.out / "scores.csv").read_text()


def align(companies, where, out, *settings, more=()):
    return run(
        *("align", companies.train_toml, *sets((where, *settings)), "--out", out, *more),
        COLUMNS="200",
    )


def train(companies, where, *settings, more=()):
    return run("train", companies.train_toml, *sets((where, *settings)), *more)


def test_align_says_what_was_found_and_what_each_side_has_learnt(companies, served, tmp_path):
    process, where = served
    done = align(companies, where, tmp_path / "found")
    assert done.exit_code == 0, done.stderr
    assert re.search(r"bureau +80 +60 +75\.0 % +[\d.]+ kB +[\d.]+ kB +[\d,]+ ", done.stdout)
    for line in (
        "agreed: ids by the rules exact; method ecdh in the group",
        "we have learnt: of each party, how many ids it has, how many are common and which of our",
        "bureau has learnt: how many ids we have, how many are common, and which of its own are co",
    ):
        assert line in done.stderr
    process.wait_line("60 ids are common")
    process.wait_line("60 rows are agreed on")
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"bureau.alignment"}
    mine = read_alignment(tmp_path / "found" / "bureau.alignment")
    kept = companies.bureau / "models" / "alignments"
    theirs = read_alignment(kept / f"{mine.id.hex()}.alignment")
    assert (mine.party, mine.peer, theirs.party, theirs.peer) == (
        "label-party",
        "bureau",
        "bureau",
        "lender",
    )
    lender, bureau = (
        pd.read_csv(folder / name)["id"]
        for folder, name in ((companies.lender, "lender.csv"), (companies.bureau, "bureau.csv"))
    )
    assert lender[mine.rows].tolist() == bureau[theirs.rows].tolist()
    assert sorted(lender[mine.rows]) == COMMON
    assert COMMON[0] not in done.output + process.text


def test_train_takes_an_alignment_that_was_made_before(companies, served, expected, tmp_path):
    _, where = served
    folder, out = tmp_path / "found", tmp_path / "run"
    assert align(companies, where, folder).exit_code == 0
    settings = (f"align.file='{folder}'", f"out='{out}'")
    done = train(companies, where, *settings)
    assert done.exit_code == 0, done.stderr
    assert "rows: label party 80, bureau 80; common 60" in done.stderr
    assert "% aligned" not in done.stderr
    assert not (out / "aligned").exists()
    assert (out / "scores.csv").read_text() == expected
    done = train(companies, where, "align.file='nowhere'", f"out='{out}'", more=("--force",))
    assert done.exit_code == 3
    assert "nowhere/bureau.alignment: there is no such file; `secureboost align` makes it" in (
        done.stderr
    )


def test_train_and_predict_find_the_common_rows_by_themselves(
    companies, served, expected, tmp_path
):
    _, where = served
    out = tmp_path / "run"
    done = train(companies, where, f"out='{out}'")
    assert done.exit_code == 0, done.stderr
    assert "rows: label party 80, bureau 80; common 60" in done.stderr
    assert (out / "scores.csv").read_text() == expected
    assert (out / "aligned" / "bureau.alignment").exists()
    assert json.loads((out / "metrics.json").read_text())["rows"] == {
        "label party": 80,
        "bureau": 80,
        "common": 60,
    }
    report = (out / "report.html").read_text()
    assert "60 rows among 80 of the label party, 80 of bureau" in report
    assert "that the label party has 80 rows, and which of its own are used" in report

    asked = ("predict", out / "model", "--config", companies.train_toml, *sets((where,)))
    done = run(*asked)
    assert (done.exit_code, done.stdout) == (4, "")
    assert "lender.csv: bureau does not have 20 rows (first at data rows 1, 2, 3, 4, 5) of 80" in (
        done.stderr
    )
    dropped, missing = (run(*asked, "--unmatched", how) for how in ("drop", "missing"))
    known = [line.split(",") for line in expected.splitlines()[1:]]
    for done, n_rows, said in (
        (dropped, 60, "of 80: left out"),
        (missing, 80, "of 80: scored with missing values there"),
    ):
        assert done.exit_code == 0, done.stderr
        assert said in done.stderr
        scored = {line.split(",")[0]: line.split(",")[2] for line in done.stdout.splitlines()[1:]}
        assert len(scored) == n_rows
        assert {row_id: score for row_id, _, score in known}.items() <= scored.items()


def test_new_customers_are_aligned_whatever_file_the_configuration_names(
    companies, served, tmp_path
):
    _, where = served
    folder, out = tmp_path / "found", tmp_path / "run"
    assert align(companies, where, folder).exit_code == 0
    file = f"align.file='{folder}'"
    assert train(companies, where, file, f"out='{out}'").exit_code == 0
    lender, _ = two_tables(100)
    lender.iloc[90:70:-1].to_csv(tmp_path / "new.csv")
    asked = ("predict", out / "model", "--config", companies.train_toml, *sets((where, file)))
    done = run(*asked, "--data", tmp_path / "new.csv")
    assert done.exit_code == 0, done.stderr
    assert "rows: label party 20, bureau 80; common 20" in done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == [
        f"C{number:05d}" for number in range(90, 70, -1)
    ]
    lender.iloc[:79].to_csv(tmp_path / "shorter.csv")
    changed = run(*asked, *sets((f"data.file='{tmp_path / 'shorter.csv'}'",)))
    assert changed.exit_code == 7
    assert "is not the one that alignment" in changed.stderr
    assert "Align again" in changed.stderr


def test_cv_takes_the_common_rows(companies, served):
    _, where = served
    done = run("cv", companies.train_toml, *sets((where,)), "--folds", 2)
    assert done.exit_code == 0, done.stderr
    assert "rows: label party 80, bureau 80; common 60" in done.stderr
    assert "2 folds of 48 training rows; 12 held out are left alone" in done.stderr


def test_the_feature_party_dials(companies, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dialling = companies.serve_toml.with_name("dial.toml")
    text = companies.serve_toml.read_text()
    dialling.write_text(text.replace('listen = "127.0.0.1:0"', f"dial = '127.0.0.1:{port}'"))
    way = f"party.bureau={{listen='127.0.0.1:{port}', certificate='../bureau/bureau.crt'}}"
    with Process("align", dialling) as answering:
        answering.wait_line("dialling")
        done = align(companies, way, tmp_path / "found")
        assert done.exit_code == 0, done.stderr
        assert answering.end() == 0
    assert "60 of our 80 ids are common with lender" in answering.text


def test_the_number_alone(companies, served, tmp_path):
    process, where = served
    done = align(companies, where, tmp_path / "found", more=("--size-only",))
    assert done.exit_code == 0, done.stderr
    assert re.search(r"bureau +80 +60 ", done.stdout)
    assert "how many are common\n" in done.stderr
    assert "which" not in done.stderr
    process.wait_line("60 ids are common; only their number was asked for")
    assert list(tmp_path.iterdir()) == []


def test_padding_hides_which_rows_are_common(companies, served, expected, tmp_path):
    process, where = served
    done = align(companies, where, tmp_path / "found", "align.padding=15")
    assert done.exit_code == 0, done.stderr
    assert "which of its own are common, among 15 others" in done.stderr
    process.wait_line("75 rows are agreed on")
    settings = (f"align.file='{tmp_path / 'found'}'", f"out='{tmp_path / 'run'}'")
    done = train(companies, where, *settings)
    assert done.exit_code == 0, done.stderr
    n_rows = int(process.wait_line(r"training begins: (\d+) rows")[1])
    assert 48 < n_rows <= 48 + 15
    scored = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert scored["id"].tolist() == [line.split(",")[0] for line in expected.splitlines()[1:]]


def test_only_the_label_party_is_told(companies, served, tmp_path):
    process, where = served
    done = align(companies, where, tmp_path / "found", "align.result='label-party'")
    assert done.exit_code == 0, done.stderr
    assert "bureau has learnt: how many ids we have, how many are common\n" in done.stderr
    process.wait_line("80 rows are agreed on")


def test_the_feature_party_answers_one_alignment_and_ends(companies, tmp_path):
    with Process("align", companies.serve_toml, *sets(("align.min_size=50",))) as answering:
        where = address(answering)
        assert train(companies, where, f"out='{tmp_path / 'run'}'").exit_code == 6
        done = align(companies, where, tmp_path / "found")
        assert done.exit_code == 0, done.stderr
        assert answering.end() == 0
    assert "bureau.csv: " in answering.text
    found = re.search(
        r"^60 of our 80 ids are common with lender; kept in (.*)$", answering.text, re.M
    )
    assert read_alignment(type(tmp_path)(found[1])).rows.shape == (60,)
    assert "Traceback" not in answering.text


def test_several_columns_with_rules_are_one_id(companies, tmp_path):
    lender, bureau = two_tables(100)
    numbers = np.arange(100)
    names = np.array([f"Zoë Müller {number // 2}" for number in numbers])  # no id alone
    born = pd.Series(pd.date_range("1980-01-01", periods=100))
    lender.insert(0, "name", np.char.upper(names))
    lender.insert(1, "born", born.dt.strftime("%d.%m.%Y").to_numpy())
    bureau.insert(0, "name", np.char.add("  ", names))
    bureau.insert(1, "born", born.dt.strftime("%Y-%m-%d").to_numpy())
    twice = lender.iloc[30:31].assign(income=0.5)
    blank = lender.iloc[31:32].assign(name=None)
    pd.concat([lender.iloc[:80], twice, blank]).to_csv(companies.lender / "named.csv", index=False)
    bureau.iloc[:19:-1].to_csv(companies.bureau / "named.csv", index=False)
    key = ("data.file='named.csv'", "data.id=['name', 'born']")
    own = (
        *key,
        f"out='{tmp_path / 'run'}'",
        "align.rules={name='text', born='date:%d.%m.%Y'}",
    )
    kept = ("align.duplicates=first", "align.blanks=drop")
    with companies.serve(*key, "align.rules={name='text', born='date'}") as served:
        where = address(served)
        done = train(companies, where, *own)
        assert done.exit_code == 4
        assert "named.csv: column 'name' is blank in 1 row (data row 82)" in done.stderr
        done = train(companies, where, *own, *kept, more=("--force",))
        assert done.exit_code == 0, done.stderr
        asked = ("predict", tmp_path / "run" / "model", "--config", companies.train_toml)
        done = run(*asked, *sets((where, *own, *kept)), "--unmatched", "missing")
        assert done.exit_code == 0, done.stderr
        done = train(companies, where, *key, *kept, f"out='{tmp_path / 'other'}'")
        assert done.exit_code == 6
        assert "bureau: refused (key_rules_differ): key rule 1 is 'exact' at the label" in (
            done.stderr
        )
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    assert len(scores) == 60
    assert scores["id"][0] == "ZOË MÜLLER 10,21.01.1980"
    scored = ("evaluate", tmp_path / "run" / "scores.csv", "--target", "bad")
    lender.iloc[:80].to_csv(tmp_path / "labels.csv", index=False)
    done = run(*scored, "--labels", tmp_path / "labels.csv", "--id", "name", "--id", "born")
    assert done.exit_code == 0, done.stderr


def test_a_run_goes_on_with_the_alignment_that_it_has_made(companies, served, tmp_path):
    process, where = served
    many = "model.n_estimators=20"
    whole, cut = (f"out='{tmp_path / name}'" for name in ("whole", "cut"))
    done = train(companies, where, many, whole)
    assert done.exit_code == 0, done.stderr
    process.wait_line("training ends")
    with companies.train(where, many, cut) as trained:
        process.wait_line("tree 3 of 20")
        assert trained.end(signal.SIGKILL) == -signal.SIGKILL
    process.wait_line("the session ended early")
    done = train(companies, where, many, cut, more=("--resume",))
    assert done.exit_code == 0, done.stderr
    assert "% aligned" not in done.stderr
    scores = [(tmp_path / name / "scores.csv").read_text() for name in ("whole", "cut")]
    assert scores[0] == scores[1]


def test_an_alignment_that_breaks_off_goes_on(tmp_path):
    companies = make_companies(tmp_path / "c", rows=60_000)
    found = companies.lender / "alignment"
    with companies.serve() as served:
        where = address(served)
        with Process("align", companies.train_toml, *sets((where,))) as asking:
            asking.wait_line("% aligned")
            assert served.end(signal.SIGKILL) == -signal.SIGKILL
            assert asking.end() == 5
    kept = "What was exchanged is kept: --resume goes on with it as it was begun, --force begins"
    assert kept in asking.text
    assert {path.name for path in found.iterdir()} == {"interrupted"}
    done = run("align", companies.train_toml)
    assert done.exit_code == 3
    assert "holds an interrupted alignment; go on with it by --resume, or --force" in done.stderr
    with companies.serve() as served:
        where = address(served)
        other = run("align", companies.train_toml, *sets((where, "align.padding=3")), "--resume")
        assert other.exit_code == 3
        assert "cannot go on with other padding (0 then, 3 now). Take what it was" in other.stderr
        assert kept in other.stderr
        resumed = run("align", companies.train_toml, *sets((where,)), "--resume")
        assert resumed.exit_code == 0, resumed.stderr
    assert {path.name for path in found.iterdir()} == {"bureau.alignment"}
    assert len(np.unique(read_alignment(found / "bureau.alignment").rows)) == 60_000


@pytest.mark.parametrize(
    ("settings", "more", "code", "message"),
    [
        (("align.method=rsb",), (), 3, "align.method: 'rsb' is not a method; there is: ecdh, rsa."),
        (("align.group=p265",), (), 3, "'p265'"),
        (("align.padding=1", "align.result='label-party'"), (), 3, "align.padding: 1 has no mean"),
        (("align.rules={id='txt'}",), (), 3, "align.rules.id: 'txt' is no rule; there are: exact"),
        (("data.id=ID",), (), 4, "lender.csv: there is no key column 'ID'. Did you mean 'id'?"),
        (("data.id=bad",), (), 4, "lender.csv: "),
        (("data.file='empty.csv'",), (), 4, "empty.csv: the file has a header but no rows."),
        (("data.file='none.csv'",), (), 4, "none.csv: there is no such file."),
        ((), ("--resume",), 3, "holds no interrupted alignment; leave --resume out"),
        ((), ("--resume", "--force"), 3, "--resume goes on and --force begins anew; give one of"),
        (("party.bureau.address='127.0.0.1:1'", "party.bureau.timeout=0.2"), (), 5, "nobody list"),
        (("align.min_size=61",), (), 4, "60 ids are common with 'bureau', fewer than min_size=61"),
        (("data.file='others.csv'",), (), 4, "No id is common with 'bureau'. Keys were made by"),
        (("align.rules={id='integer'}",), (), 4, "lender.csv: column 'id' cannot be read by the r"),
        (
            ("align.rules={id='text'}",),
            (),
            6,
            "refused (key_rules_differ): key rule 1 is 'text'",
        ),
        (("align.max_rows=79",), (), 4, "party 'bureau' has 80 ids; align.max_rows=79."),
    ],
)
def test_bad_input_of_align(companies, served, tmp_path, settings, more, code, message):
    _, where = served
    (companies.lender / "empty.csv").write_text("id,bad,income,age\n")
    (companies.lender / "others.csv").write_text("id,bad,income,age\nX1,0,1,1\nX2,1,0,0\n")
    done = align(companies, where, tmp_path / "found", *settings, more=more)
    assert done.exit_code == code, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "" or "min_size" in message
    assert list(tmp_path.iterdir()) == []
    assert align(companies, where, tmp_path / "found").exit_code == 0  # the bureau is free


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (("align.min_size=61",), 4, "60 ids are common with 'bureau', fewer than it asks for"),
        (("align.max_rows=79",), 6, "refused (too_many_keys): 80 ids are above this party's lim"),
        (("align.max_probed_keys=79",), 6, "(align_budget_spent): 80 ids are more than this pa"),
        (("align.rules={id='code'}",), 6, "key rule 1 is 'exact' at the label party and 'code' at"),
        (("data.file='two.csv'", "data.id=['id', 'late']"), 6, "makes keys by 1 rules (exact), th"),
    ],
)
def test_the_feature_partys_own_limits(companies, tmp_path, settings, code, message):
    bureau = pd.read_csv(companies.bureau / "bureau.csv")
    bureau.assign(late=range(80)).to_csv(companies.bureau / "two.csv", index=False)
    with companies.serve(*settings) as served:
        done = align(companies, address(served), tmp_path / "found")
        assert done.exit_code == code, done.output
        assert message in done.stderr
    assert "Traceback" not in done.stderr + served.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.id=ID",), "bureau.csv: there is no id column 'ID'. Did you mean 'id'?"),
        (
            ("data.file='twice.csv'",),
            "twice.csv: ids occur more than once in 2 rows (data rows 1",
        ),
        (("data.file='blank.csv'",), "blank.csv: the id is blank in 1 row (data row 2)"),
        (("align.rules={id='integer'}",), "bureau.csv: column 'id' cannot be read by the rule"),
    ],
)
def test_a_feature_party_is_told_before_it_serves(companies, settings, message):
    lines = (companies.bureau / "bureau.csv").read_text().splitlines()
    blank = "," + lines[2].partition(",")[2]
    (companies.bureau / "twice.csv").write_text("\n".join([*lines[:2], lines[1], *lines[2:]]))
    (companies.bureau / "blank.csv").write_text("\n".join([*lines[:2], blank, *lines[3:]]))
    for command in ("serve", "align"):
        done = run(command, companies.serve_toml, *sets(settings))
        assert done.exit_code == 4, done.output
        assert message.partition(": ")[0] in done.stderr
        if command == "serve":
            assert message in done.stderr
        assert "listening" not in done.stdout


def test_an_alignment_that_is_there_is_not_replaced(companies, served, tmp_path):
    _, where = served
    found = tmp_path / "found"
    assert align(companies, where, found).exit_code == 0
    before = (found / "bureau.alignment").read_bytes()
    done = align(companies, where, found)
    assert done.exit_code == 3
    assert "found holds bureau.alignment already; name another folder, or --force" in done.stderr
    assert (found / "bureau.alignment").read_bytes() == before
    assert align(companies, where, found, more=("--force",)).exit_code == 0
    (found / "bureau.alignment").write_bytes(before[:-1])
    done = train(companies, where, f"align.file='{found}'", f"out='{tmp_path / 'run'}'")
    assert done.exit_code == 7
    assert "bureau.alignment is damaged: its digest does not match. Align again." in done.stderr


def test_wrong_usage(companies, tmp_path):
    done = run("align", companies.serve_toml, "--out", tmp_path)
    assert (done.exit_code, "--out: is for the label party; " in done.stderr) == (3, True)
    (tmp_path / "none.toml").write_text("out = 'run'")
    done = run("align", tmp_path / "none.toml")
    assert done.exit_code == 3
    assert "is neither a label party's configuration, with [party.<name>], nor" in done.stderr


def test_rules_are_shown_on_made_up_values(companies):
    for file in (companies.train_toml, companies.serve_toml):
        done = run("align", file, "--show-rules", *sets(("align.rules={id='code'}",)))
        assert done.exit_code == 0, done.stderr
        assert "code: 'gb29 nwbk-6016.13' -> 'GB29NWBK601613'" in done.stdout


def test_rows_with_times_get_what_was_known_then(companies, tmp_path):
    draws = np.random.default_rng(3)
    lender, bureau = two_tables(100)
    days = pd.date_range("2023-01-01", periods=100).strftime("%Y-%m-%d")
    lender = lender.iloc[:80].assign(applied=days[:80])
    again = lender.iloc[30:50].assign(applied="2023-06-30")  # applications of known customers
    pd.concat([lender, again]).to_csv(companies.lender / "dated.csv")
    seen = [
        bureau.iloc[20:].assign(known=day, paid="2022-12-24", late=draws.normal(size=80))
        for day in ("2022-01-01", "2022-12-31", "2023-03-01")
    ]
    pd.concat(seen).sample(frac=1, random_state=1).to_csv(companies.bureau / "dated.csv")
    file, out = "data.file='dated.csv'", f"out='{tmp_path / 'run'}'"
    own = (file, out, "align.time=applied", "align.window=100d", "data.date=applied")
    theirs = (file, "align.time=known", "align.dates=['paid']")
    with companies.serve(*theirs, "align.window=99d") as served:
        done = train(companies, address(served), *own)
        assert done.exit_code == 6, done.output
        assert "window is 100 at the label party and 99 at this party" in done.stderr
    with companies.serve(*theirs, "align.window=100d") as served:
        where = address(served)
        done = align(companies, where, tmp_path / "found", *own[:4])
        assert done.exit_code == 0, done.stderr
        assert "60 rows find a row of bureau in time, 20 do not and are dropped" in done.stderr
        sent, received = re.search(
            r"bureau +80 +60 .*? ([\d.]+) kB +([\d.]+) kB", done.stdout
        ).groups()
        assert min(float(sent), float(received)) > 4  # of keys as well as of times
        assert f"100 % aligned, {sent} kB sent" in done.stderr
        assert "and the times of our rows of these ids" in done.stderr
        done = train(companies, where, *own, f"align.file='{tmp_path / 'found'}'")
        assert done.exit_code == 0, done.stderr
        assert "rows: label party 100, bureau 80; common 60" in done.stderr
        asked = ("predict", tmp_path / "run" / "model", "--config", companies.train_toml)
        scored = run(*asked, *sets((where, *own)), "--unmatched", "drop")
        assert scored.exit_code == 0, scored.stderr
    ids = pd.read_csv(tmp_path / "run" / "scores.csv")["id"]
    # on 30 June nothing of the 100 days before is known but for 1 March .. 22 March: too old
    assert ids.tolist() == [f"C{n:05d},{days[n]}" for n in range(20, 80)]
    assert scored.stdout.splitlines()[1].startswith('"C00020,2023-01-21",new,')


def test_a_party_that_signs_ahead(companies, tmp_path):
    phrase = {"SECUREBOOST_PASSPHRASE": "correct horse battery"}
    made = run("keygen", "--signing", "--out", companies.bureau / "sign.json", **phrase)
    assert made.exit_code == 0, made.stderr
    assert "Signing key of 2048 bits" in made.stdout
    assert "`signing_key` in [align] of `secureboost serve`" in made.stderr
    key, tags = "align.signing_key='sign.json'", tmp_path / "bureau.tagset"
    ahead = run("align", companies.serve_toml, *sets((key,)), "--tag-set", tags, **phrase)
    assert ahead.exit_code == 0, ahead.stderr
    assert "tags of 80 ids" in ahead.stderr
    kept = tmp_path / "signatures"
    kept.mkdir()
    tags.rename(kept / "bureau.tagset")
    rsa = ("align.method=rsa", f"align.signatures='{kept}'")
    (tmp_path / "phrase").write_text(phrase["SECUREBOOST_PASSPHRASE"])
    (tmp_path / "phrase").chmod(0o600)
    signing = sets((key, "align.max_signatures=80"))
    with Process(
        *("serve", companies.serve_toml, *signing, "--passphrase-file", tmp_path / "phrase")
    ) as served:
        where = address(served)
        done = align(companies, where, tmp_path / "found", *rsa)
        assert done.exit_code == 0, done.stderr
        assert re.search(r"bureau +80 +60 +75\.0 %", done.stdout)
        again = align(companies, where, tmp_path / "again", *rsa)
        assert again.exit_code == 0, again.stderr
