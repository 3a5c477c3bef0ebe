"""The house's import rules, read from the source; see ARCHITECTURE."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import secureboost

ROOT = Path(__file__).parents[1]
PACKAGES = ("crypto", "parties", "secureboost")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
TALKERS = {
    f"secureboost.gbdt.{name}"
    for name in (
        *("protocol", "feature", "feature_tree", "feature_table", "feature_sums"),
        *("feature_bins", "feature_routes", "feature_splits", "feature_start"),
        "feature_training",
        *("agreement", "checkpoint", "constraints"),
        *("label", "remote", "scoring"),
    )
}
"""The modules of the tree trainer that may know parties and ciphers."""


QUIET_NETS = (
    *("batches", "bottoms", "inputs", "learner", "make", "network", "top", "trainer", "trainable"),
    *("model", "optimisers", "options", "params", "payload", "plan", "policy", "store", "table"),
    *("tensors", "threads", "randomness", "errors"),
)
"""The modules of the network trainer that know no parties."""

EXTRAS = ("torch", "safetensors", "onnx", "onnxruntime", "dp_accounting")
"""Packages of extras that only networks use."""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def nodes_of(tree: ast.AST, *, at_import: bool):
    """All nodes, or those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if at_import and (
            is_type_checking(node) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ):
            continue
        yield node
        yield from nodes_of(node, at_import=at_import)


def imports_of(name: str, *, at_import: bool = False) -> set[str]:
    """Modules that a module imports; ``from a import b`` is ``a.b`` where that is a module."""
    found = set()
    for node in nodes_of(TREES[name], at_import=at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else str(node.module))
    return found


IMPORTS = {name: imports_of(name) for name in FILES}


def is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def offences(importers, *forbidden: str) -> list[str]:
    return [
        f"{name} imports {target}"
        for name in sorted(importers)
        for target in sorted(IMPORTS[name])
        if is_in(target, *forbidden)
    ]


def test_all_files_are_seen():
    assert len(FILES) > 50
    assert set(FILES) > TALKERS
    assert "crypto.scheme" in IMPORTS["secureboost.gbdt.feature"]


def test_crypto_and_parties_stand_alone():
    crypto = [name for name in FILES if is_in(name, "crypto")]
    parties = [name for name in FILES if is_in(name, "parties")]
    assert not offences(crypto, "parties", "secureboost")
    assert not offences(parties, "crypto", "secureboost")


def test_trees_know_neither_parties_nor_ciphers():
    quiet = {name for name in FILES if is_in(name, "secureboost.gbdt")} - TALKERS
    assert {"secureboost.gbdt.grower", "secureboost.gbdt.splitter"} < quiet
    assert not offences(quiet, "parties", "crypto", *TALKERS)


def test_the_foundations_know_nothing_above_them():
    ground = [
        f"secureboost.{name}"
        for name in (
            "alignment",
            "binning",
            "data",
            "errors",
            "files",
            "ledger",
            "metrics",
            "objectives",
            "tables",
            "units",
        )
    ]
    assert not offences(ground, "parties", "crypto", "secureboost.gbdt", "secureboost.trainers")


def test_nothing_below_imports_the_estimator_or_the_command_line():
    above = {"secureboost", "secureboost.__main__", "secureboost.run"}
    kinds = {name for name in FILES if is_in(name, "secureboost.kinds")}
    above |= {name for name in FILES if is_in(name, "secureboost.cli")} | kinds
    tops = ["secureboost.api", "secureboost.run", "secureboost.summary"]
    assert not offences(set(FILES) - above - set(tops), *tops, "secureboost.cli")
    assert not offences(kinds, "secureboost.run", "secureboost.summary", "secureboost.cli")
    assert not offences(tops, "secureboost.cli")


def test_gbdt_does_not_know_who_calls_it():
    gbdt = [name for name in FILES if is_in(name, "secureboost.gbdt")]
    outside = [
        f"secureboost.{name}"
        for name in ("api", "run", "cli", "trainers", "party", "partners", "splitnn", "config")
    ]
    assert not offences(gbdt, *outside)


def test_networks_know_no_trees_and_trees_know_no_networks():
    nets = {name for name in FILES if is_in(name, "secureboost.splitnn")}
    assert {"secureboost.splitnn.trainer", "secureboost.splitnn.feature"} <= nets
    assert not offences(nets, "secureboost.gbdt", "crypto")
    assert not offences({n for n in FILES if is_in(n, "secureboost.gbdt")}, "secureboost.splitnn")


def test_only_networks_know_torch_and_not_all_of_them():
    """Messages, rules and stores of a feature party must load where it is missing."""
    nets = {name for name in FILES if is_in(name, "secureboost.splitnn")}
    assert not offences(set(FILES) - nets, *EXTRAS)
    light = ("protocol", "body_protocol", "masking_protocol", "transitions", "terms", "policy")
    light += ("store", "options", "errors", "table", "payload")
    modules = [f"secureboost.splitnn.{name}" for name in light]
    assert not set(EXTRAS) & loaded_by("import " + ", ".join(modules))
    assert not set(EXTRAS) & loaded_by("import secureboost.party, secureboost.trainers")


def test_networks_that_talk_to_partners_are_few():
    nets = {name for name in FILES if is_in(name, "secureboost.splitnn")}
    quiet = {f"secureboost.splitnn.{name}" for name in QUIET_NETS}
    assert quiet <= nets
    assert not offences(quiet, "parties")


def test_aligning_and_training_do_not_know_each_other():
    align = {name for name in FILES if is_in(name, "secureboost.align")}
    gbdt = {name for name in FILES if is_in(name, "secureboost.gbdt")}
    assert {"secureboost.align.protocol", "secureboost.align.asker"} < align
    assert not offences(align, "secureboost.gbdt")
    assert not offences(gbdt, "secureboost.align")
    assert not offences(
        ["secureboost.alignment"], "secureboost.align", "secureboost.gbdt", "parties"
    )


def test_aligning_does_not_know_who_calls_it():
    inside = {name for name in FILES if is_in(name, "secureboost.align")} - {"secureboost.align"}
    outside = [
        f"secureboost.{name}"
        for name in ("api", "run", "cli", "trainers", "party", "partners", "estimator", "config")
    ]
    assert not offences(inside, *outside)
    # the front door knows the trainer's name, and imports it when it is called
    assert not imports_of("secureboost.align", at_import=True) & set(FILES)


def test_no_import_cycles():
    graph = {name: imports_of(name, at_import=True) & set(FILES) for name in FILES}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for target in sorted(graph[name]):
                walk(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        walk(name, ())


@pytest.mark.parametrize("name", FILES)
def test_every_module_has_a_docstring(name):
    assert ast.get_docstring(TREES[name]), f"{FILES[name]} does not say what it is"


@pytest.mark.parametrize("name", FILES)
def test_nothing_dangerous(name):
    """No assert (it vanishes under -O), no pickle, no eval, no threads inside kernels."""
    for node in ast.walk(TREES[name]):
        where = f"{FILES[name]}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), where
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "compile", "__import__", "os.system"}, where
            for keyword in node.keywords:
                assert (keyword.arg, ast.unparse(keyword.value)) != ("parallel", "True"), where
                assert (keyword.arg, ast.unparse(keyword.value)) != ("shell", "True"), where
    banned = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"}
    assert not {target.partition(".")[0] for target in IMPORTS[name]} & banned


def test_ciphers_take_their_randomness_from_the_operating_system():
    crypto = [name for name in FILES if is_in(name, "crypto")]
    assert not offences(crypto, "random", "numpy.random")
    assert not [name for name in crypto if "np.random" in FILES[name].read_text(encoding="utf-8")]


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in memory after a statement in a fresh interpreter."""
    script = f"{statement}; import sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {module.partition(".")[0] for module in run.stdout.split()}


HEAVY = {"grpc", "numba", "numpy", "pandas", "scipy", "sklearn", "gmpy2"}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import secureboost; secureboost.__version__; dir(secureboost)", set()),
        ("import secureboost.errors", set()),
        ("import crypto, parties", set()),
        ("import parties.messages, parties.codec, parties.answerer", {"numpy"}),
    ],
)
def test_imports_stay_light(statement, allowed):
    assert not loaded_by(statement) & (HEAVY - allowed)


def test_every_public_name_loads_on_use():
    script = "import secureboost; [getattr(secureboost, name) for name in secureboost.__all__]"
    assert "numba" in loaded_by(script)
    with pytest.raises(AttributeError, match="no attribute 'SecureBoostTransformer'"):
        _ = secureboost.SecureBoostTransformer
