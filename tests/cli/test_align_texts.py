"""What `secureboost align` says when something is not as it should be, on both sides."""

import pytest
from support.cli import run
from support.companies import Process, address, make_companies, sets, two_tables


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    """Customers 0 to 79 are the lender's, 20 to 99 the bureau's."""
    made = make_companies(tmp_path_factory.mktemp("companies"), rows=100)
    lender, bureau = two_tables(100)
    lender.iloc[:80].to_csv(made.lender / "lender.csv")
    bureau.iloc[20:].to_csv(made.bureau / "bureau.csv")
    return made


@pytest.fixture(scope="module")
def served(companies):
    with companies.serve() as process:
        yield process, address(process)


def align(companies, *settings, out, more=()):
    return run("align", companies.train_toml, *sets(settings), "--out", out, *more)


@pytest.mark.parametrize("setting", ["align.min_size=61", "align.max_rows=79"])
def test_a_limit_is_no_fault_of_the_table(companies, served, tmp_path, setting):
    done = align(companies, served[1], setting, out=tmp_path / "found")
    assert done.exit_code == 4, done.output
    assert "Stopped by a limit" in done.stderr
    assert "The table is good." in done.stderr
    assert "Correct the table" not in done.stderr


def test_an_alignment_of_another_table_is_our_own_matter(companies, served, tmp_path):
    found = tmp_path / "found"
    assert align(companies, served[1], out=found).exit_code == 0
    two_tables(100)[0].iloc[:70].to_csv(companies.lender / "shorter.csv")
    settings = ("data.file='shorter.csv'", f"align.file='{found}'", f"out='{tmp_path / 'run'}'")
    done = run("train", companies.train_toml, *sets((served[1], *settings)))
    assert done.exit_code == 7
    assert "Alignment cannot be used" in done.stderr
    assert "Align again, or name the table and the files that belong together." in done.stderr
    assert "Do not use the result" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "choice"),
    [
        ("data.file='twice.csv'", "choose one by align.duplicates='first' or 'last'."),
        ("data.file='blank.csv'", "leave such rows out with align.blanks='drop'."),
        ("align.rules={id='integer'}", "leave such rows out with align.unreadable='drop'."),
    ],
)
def test_settings_are_named_as_the_file_names_them(companies, tmp_path, setting, choice):
    header, *rows = (companies.lender / "lender.csv").read_text().splitlines()
    (companies.lender / "twice.csv").write_text("\n".join([header, rows[0], *rows]))
    (companies.lender / "blank.csv").write_text("\n".join([header, *rows, ",0,1,1"]))
    done = align(companies, setting, out=tmp_path / "found")
    assert done.exit_code == 4, done.output
    assert choice in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_the_command_line(companies, tmp_path):
    (tmp_path / "there").touch()
    for more in (["--tag-set", tmp_path / "there"], ["--resume"]):
        done = run("align", companies.serve_toml, *more)
        assert done.exit_code == 3
        assert f"{more[0]}: " in done.stderr
        assert "--force" not in done.stderr
        assert done.stderr.endswith("Correct the command line, then start again.\n")


def test_a_refusal_is_not_taken_for_a_lost_connection(companies, tmp_path):
    with Process("align", companies.serve_toml, *sets(("align.rules={id='code'}",))) as answering:
        done = align(companies, address(answering), out=tmp_path / "found")
        assert done.exit_code == 6, done.output
        assert answering.end() == 6
    assert "lender: refused with key_rules_differ: key rule 1" in answering.text
    assert "lender: the session ended with our refusal (key_rules_differ)" in answering.text
    assert "is the other side still running" not in answering.text


@pytest.mark.parametrize(
    ("settings", "more", "why"),
    [
        ((), ("--size-only",), "60 ids are common; only their number was asked for"),
        (("align.min_size=61",), (), "60 ids are common; fewer than 61, so it is not told which"),
    ],
)
def test_a_feature_party_says_why_nothing_came_of_it(companies, tmp_path, settings, more, why):
    with Process("align", companies.serve_toml) as answering:
        align(companies, address(answering), *settings, out=tmp_path / "found", more=more)
        assert answering.end() == 0
    assert why in answering.text
    assert "No rows were agreed on. If the log above does not say why, the" in answering.text


def test_ids_are_called_ids(companies, served, tmp_path):
    done = align(companies, served[1], out=tmp_path / "found")
    assert "lender.csv: rows 80, different ids 80" in done.stderr
    assert "key" not in done.output.lower()
    served[0].wait_line("80 ids of the label party, method ecdh in group")
