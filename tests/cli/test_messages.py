import io
import json

import pytest
from rich.console import Console
from rich.text import Text
from support.cli import run

from secureboost.cli.layout import print_hanging
from secureboost.trainers import codec_of, get_trainer


@pytest.mark.parametrize(
    "trainers", [["secureboost"], ["splitnn"], ["align"], ["secureboost", "splitnn", "align"]]
)
def test_every_message_is_listed_with_what_it_reveals(trainers):
    chosen = ["--trainer", *trainers] if len(trainers) == 1 else []
    result = run("messages", *chosen)
    assert result.exit_code == 0, result.stderr
    blocks = result.stdout.strip().split("\n\n")[1:]
    groups = [block for block in blocks if block.startswith("Messages of ")]
    titles = [f"Messages of trainer {trainer!r}" for trainer in trainers]
    assert groups == ["Messages of every session", *titles]
    blocks = [block for block in blocks if block not in groups]
    names = [message.__name__ for message in codec_of(map(get_trainer, trainers)).message_types]
    assert [block.split()[1] for block in blocks] == names
    for block in blocks:
        heading, reveals, fields = block.splitlines()
        assert heading.startswith("-> ") == ("answered by" in heading)
        assert reveals.startswith("   reveals  ")
        assert fields.startswith("   fields   ")
        assert block == "\n".join(line.rstrip() for line in block.splitlines())
    assert "``" not in result.stdout
    assert "*" not in result.stdout


def test_json_says_the_same():
    result = run("messages", "--json")
    listing = json.loads(result.stdout)
    assert listing["protocol_version"] == 2
    assert [message["name"] for message in listing["every session"]][:2] == ["Hello", "Welcome"]
    assert list(listing["trainers"]) == ["secureboost", "splitnn", "align"]
    by_name = {message["name"]: message for message in listing["trainers"]["secureboost"]}
    assert by_name["Setup"]["direction"] == "asks"
    assert by_name["Setup"]["reply"] == "Ready"
    assert by_name["Setup"]["fields"]["rows"] == "int32[:]"
    assert by_name["Ready"]["direction"] == "answers"
    assert by_name["Ready"]["reply"] is None
    assert "how many columns" in by_name["Ready"]["reveals"]


def test_an_unknown_trainer_is_named_with_the_nearest():
    result = run("messages", "--trainer", "secureboots")
    assert result.exit_code == 3
    assert "'secureboots' is not a trainer" in result.stderr
    assert "Did you mean 'secureboost'?" in result.stderr


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_does_not_fit_goes_on_below_the_text(width):
    file = io.StringIO()
    console = Console(file=file, width=width, markup=False, highlight=False)
    print_hanging(console, Text("   reveals  "), "word " * 60 + "\nnext")
    lines = file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("   reveals  word")
    assert all(line.startswith(" " * 12) and line[12] != " " for line in lines[1:])
    assert lines[-1].strip() == "next"


def test_a_long_path_stays_in_one_piece():
    file = io.StringIO()
    print_hanging(Console(file=file, width=40), Text("in  "), "/a-b" * 30)
    assert file.getvalue() == f"in  {'/a-b' * 30}\n"
