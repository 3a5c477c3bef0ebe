"""The documents say what is so: blocks run, names exist, tables are those of the program."""

import importlib.util
import itertools
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from parties.catalogue import catalogue
from secureboost.cli import app, commands  # noqa: F401 - importing registers the commands
from secureboost.errors import ExitCode
from secureboost.trainers import get_trainer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("crypto/*.md"))
EXAMPLE = ROOT / "examples" / "two_companies"
DESCRIBED_AS_ONE = ("crypto/kernels/", "secureboost/cli/")
NEEDS_A_PEER = "<!-- needs a peer"
NEEDS_TORCH = "<!-- needs torch"
HAS_TORCH = importlib.util.find_spec("torch") is not None
APART = "secureboost demo --rows 2000 --trees 2 --out runs/apart"
ENVIRONMENT = os.environ | {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
}
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]

BLOCK = re.compile(
    r"(?P<before>[^\n]*)\n```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.M
)
LINK = re.compile(r"\]\((?!https?://)(?P<file>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")
FILE_NAME = re.compile(r"`((?:crypto|parties|secureboost|tests|examples|bench|\.ci)/[\w./]*)`")


def blocks(language: str, path: Path = README) -> list[tuple[str, str]]:
    """The blocks of one language, each with the line before it."""
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [(block["before"], block["text"]) for block in found if block["language"] == language]


def shell_lines() -> list[str]:
    """Every line of a shell block of the README."""
    return "".join(text for _, text in blocks("bash")).splitlines()


def command_lines() -> list[list[str]]:
    """Every `secureboost` command of the README, in its blocks and in its text."""
    lines = shell_lines() + re.findall(r"`(secureboost [^`]*)`", prose(README))
    return [line.split() for line in lines if re.match("secureboost [a-z]", line)]


def prose(path: Path) -> str:
    """A document without its blocks."""
    return BLOCK.sub("", path.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """The anchor that the usual viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def rows_of(table_head: str, path: Path = README) -> list[list[str]]:
    """The rows below the head of a table."""
    lines = path.read_text(encoding="utf-8").split(table_head)[1].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for link in LINK.finditer(prose(path)):
        target = path.parent / link["file"] if link["file"] else path
        assert target.exists(), link[0]
        if link["anchor"]:
            headings = re.findall(r"^#+ (.*)$", prose(target), re.M)
            assert link["anchor"] in map(anchor, headings), link[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_complete(path):
    width = 0
    for line in prose(path).splitlines():
        cells = line.replace("\\|", "").count("|") if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        width = cells


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_named_files_exist(path):
    for name in FILE_NAME.findall(path.read_text(encoding="utf-8")):
        if "<" not in name:
            assert (ROOT / name).exists(), name


def test_architecture_names_every_module():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for package in ("crypto", "parties", "secureboost"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if path.name.startswith("_") or name.startswith(DESCRIBED_AS_ONE):
                continue
            assert f"`{name}`" in text, f"{name} has no place in ARCHITECTURE.md"


def test_every_command_exists_and_its_options_too():
    assert len(command_lines()) > 20
    for line in command_lines():
        command, words = COMMANDS.get(line[1]), line[2:]
        if hasattr(command, "commands") and words:
            command = command.commands.get(words[0])
        assert command is not None, line
        options = {name for param in command.params for name in param.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_exit_codes():
    rows = rows_of("| code | meaning |")
    assert [int(code) for code, _ in rows] == [int(code) for code in ExitCode]


def test_commands_of_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("- Command line:"))
    assert set(re.findall(r"`([a-z]+)`", line)) == set(COMMANDS)


@pytest.mark.parametrize(
    ("mark", "messages"),
    [
        ("catalogue", get_trainer("secureboost").codec().message_types),
        ("catalogue of align", get_trainer("align").messages),
        ("catalogue of splitnn", get_trainer("splitnn").messages),
    ],
)
def test_security_lists_every_message(mark, messages):
    """To bring it up to date, copy the left side of the failure into SECURITY.md."""
    wanted = ["| message | reveals |", "|---|---|"]
    for entry in catalogue(messages):
        arrow = "->" if entry.direction == "asks" else "<-"
        wanted.append(f"| `{arrow} {entry.name}` | {entry.reveals} |")
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    table = text.partition(f"<!-- {mark}: begin -->\n")[2].partition(f"<!-- {mark}: end -->")[0]
    assert "\n".join(wanted) + "\n" == table


def test_python_blocks_run(tmp_path):
    """One after the other in one program, on a smaller table; those for a peer are compiled."""
    runnable = []
    for before, text in blocks("python"):
        compile(text, "README.md", "exec")
        if not before.startswith(NEEDS_A_PEER if HAS_TORCH else (NEEDS_A_PEER, NEEDS_TORCH)):
            runnable.append(text)
    assert len(runnable) >= 2
    program = "".join(runnable)
    for large, small in (
        ("2_000", "500"),
        ("1_600", "400"),
        ('"n_estimators": 5', '"n_estimators": 2'),
        ("n_estimators=20", "n_estimators=3"),
        *([('"n_epochs": 20', '"n_epochs": 2')] if HAS_TORCH else []),
    ):
        assert large in program
        program = program.replace(large, small)
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"label.json", "bureau.json"}
    assert (tmp_path / "scorecard.checkpoint").exists()
    assert (tmp_path / "scorecard.vectors.json").exists()


def test_the_walk_through_is_the_script():
    script = (EXAMPLE / "walk.sh").read_text(encoding="utf-8")
    lines = shell_lines()
    walk = [
        line
        for line in lines[lines.index("source .venv/bin/activate") : lines.index(APART)]
        if line.startswith("secureboost ")
    ]
    assert len(walk) == 10
    for line in walk:
        assert line.removeprefix("secureboost ") in script, line


def test_files_on_one_machine(tmp_path):
    """The commands of `simulate` and what follows, on fewer rows."""
    lines = shell_lines()
    first = lines.index("python examples/two_companies/make_tables.py runs/tables")
    make, simulate, *behind = lines[first : first + 7]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = ENVIRONMENT | {"SECUREBOOST_RUNS": "runs/runs.db"}
    for line in (f"{make} 300", f"{simulate} --set n_estimators=1", *behind):
        run = subprocess.run(
            line.split(), cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
    run_folder = tmp_path / "runs" / "simulated"
    assert {path.name for path in (run_folder / "model").iterdir()} == {"label.json", "bureau.json"}
    scored = (run_folder / "applicants_scored.csv").read_text(encoding="utf-8")
    assert (tmp_path / "runs" / "scored_from_file.csv").read_text(encoding="utf-8") == scored


def test_tables_that_do_not_agree(tmp_path):
    """The commands of that section, two processes, on fewer rows."""
    lines = shell_lines()
    section = itertools.takewhile(lambda line: "runs/apart" in line, lines[lines.index(APART) :])
    demo, serve, *asked = section
    assert serve.startswith("secureboost serve ")
    environment = ENVIRONMENT | {"SECUREBOOST_RUNS": "runs/runs.db"}

    def start(line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            line.split(),
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def answer(line: str) -> str:
        process = start(line)
        said = process.communicate()[0]
        assert process.returncode == 0, said
        return said

    answer(demo.replace("2000", "500"))
    address = f"127.0.0.1:{free_port()}"
    server = start(f"{serve} --set listen={address}")
    try:
        said = [
            answer(line if " evaluate " in line else f"{line} --set party.bureau.address={address}")
            for line in asked
        ]
    finally:
        server.terminate()
        server.communicate()
    lender = tmp_path / "runs" / "apart" / "lender"
    assert (lender / "alignment" / "bureau.alignment").exists()
    assert (lender / "run" / "model" / "label.json").exists()
    assert all("500" in text for text in said)


def test_the_walk_through_runs(tmp_path):
    """Two companies, their own processes, 2048 bits; fewer rows and trees."""
    example = tmp_path / "example"
    example.mkdir()
    port = free_port()
    for path in EXAMPLE.iterdir():
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            text = text.replace(":7443", f":{port}").replace(
                "n_estimators = 10", "n_estimators = 2"
            )
            (example / path.name).write_text(text, encoding="utf-8")
    run = subprocess.run(
        ["bash", str(example / "walk.sh"), str(tmp_path / "companies"), "500"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lender, bureau = tmp_path / "companies" / "lender", tmp_path / "companies" / "bureau"
    assert (lender / "run" / "model" / "label.json").exists()
    assert not (lender / "run" / "model" / "bureau.json").exists()
    assert len(list((bureau / "models").glob("*.json"))) == 2  # its half and the budget
    scored = (lender / "applicants_scored.csv").read_text(encoding="utf-8").splitlines()
    assert len(scored) == 101


def test_the_credit_example_runs(tmp_path):
    program = (ROOT / "examples" / "credit_risk.py").read_text(encoding="utf-8")
    for large, small in (
        ("CUSTOMERS = 2_000", "CUSTOMERS = 500"),
        ('"n_estimators": 5', '"n_estimators": 2'),
    ):
        assert large in program
        program = program.replace(large, small)
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "trees equal: True, scores equal: True" in run.stdout
    assert "scores after loading equal: True" in run.stdout
