"""`secureboost align` that ends after rows were agreed on, and before its files are written."""

import pytest
from support.cli import run
from support.companies import address, make_companies, sets

from secureboost.alignment import read_alignment
from secureboost.cli import align_label

TIMED = ("data.file='dated.csv'", "align.time=day", "align.window=30d")


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    made = make_companies(tmp_path_factory.mktemp("companies"))
    for path in (made.lender / "lender.csv", made.bureau / "bureau.csv"):
        header, *lines = path.read_text().splitlines()
        dated = [f"{header},day", *(f"{line},2023-05-01" for line in lines)]
        path.with_name("dated.csv").write_text("\n".join(dated))
    return made


def fail(*_arguments, **_options):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("settings", "step"),
    [((), "write_alignments"), (TIMED, "write_alignments"), (TIMED, "match_tables")],
)
def test_it_goes_on_and_pays_for_no_key_again(companies, tmp_path, monkeypatch, settings, step):
    """Where rows have times, the join is done again; it needs the keys that were found."""
    with companies.serve(*settings) as served:
        command = ("align", companies.train_toml, *sets((address(served), *settings)))
        command = (*command, "--out", tmp_path)
        with monkeypatch.context() as patch:
            if step == "match_tables":
                patch.setattr("secureboost.matching.join_with", fail)
            else:
                patch.setattr(align_label, step, fail)
            done = run(*command)
        assert "No space left on device" in done.stderr
        assert "--resume" in done.stderr
        assert {path.name for path in tmp_path.iterdir()} == {"interrupted"}
        assert {path.name for path in (tmp_path / "interrupted").iterdir()} == {"run", "outcome"}
        done = run(*command, "--resume")
        assert done.exit_code == 0, done.stderr
        served.end(2)
    assert {path.name for path in tmp_path.iterdir()} == {"bureau.alignment"}
    assert len(read_alignment(tmp_path / "bureau.alignment").rows) == 60
    assert served.text.count("an alignment begins") == 1


def test_what_a_crash_has_left_is_deleted_by_the_next_start(companies, tmp_path):
    trash = tmp_path / ".interrupted.deleted"
    trash.mkdir()
    (trash / "secrets").write_bytes(b"a scalar")
    (tmp_path / ".bureau.alignment.x1y2z3a4").write_bytes(b"positions")
    (tmp_path / ".others").write_bytes(b"somebody's")
    with companies.serve() as served:
        where = sets((address(served),))
        done = run("align", companies.train_toml, *where, "--out", tmp_path)
        assert done.exit_code == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"bureau.alignment", ".others"}
