"""``secureboost model inspect``: a trained model for human eyes."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureboost.cli.app import group

if TYPE_CHECKING:
    from secureboost.inspection import ModelView

command = group("model", "Look into a trained model.")

_SHOWN_COLUMNS = 20


class Format(StrEnum):
    """How a model is written."""

    TEXT = "text"
    JSON = "json"
    DOT = "dot"


@command
def inspect(
    folder: Annotated[Path, typer.Argument(help="Folder of the model, as train wrote it.")],
    half: Annotated[
        list[Path],
        typer.Option(
            help="A partner's half, to read its splits; repeat. Those in FOLDER are read."
        ),
    ] = [],  # noqa: B006 - typer copies it
    tree: Annotated[
        list[int], typer.Option(help="Only this tree, from 0; repeat. Default: the first one.")
    ] = [],  # noqa: B006
    output: Annotated[
        Format, typer.Option("--format", help="JSON has all trees; dot is for Graphviz.")
    ] = Format.TEXT,
) -> None:
    """Show what a model learnt: its trees, the columns that matter, settings and metrics.

    A partner's splits are opaque without its half: only their numbers are known. Of a network its
    parts, settings and metrics are shown.
    """
    from secureboost.kinds import trainer_in
    from secureboost.trainers import NET_TRAINER

    if trainer_in(folder) is NET_TRAINER:
        inspect_net(folder, output, trees_asked=bool(half or tree))
    else:
        inspect_trees(folder, half, tree, output)


def inspect_net(folder: Path, output: Format, *, trees_asked: bool) -> None:
    """Show a network.

    Raises
    ------
    ConfigError
        If something is asked that only trees have.
    """
    from secureboost.cli.layout import print_json
    from secureboost.errors import ConfigError
    from secureboost.splitnn.errors import needing_torch

    with needing_torch():
        from secureboost.cli.model_nets import net_summary, show_net
    if trees_asked or output is Format.DOT:
        raise ConfigError(f"{folder} holds a network, which has no trees; leave the option out")
    if output is Format.JSON:
        print_json(net_summary(folder))
    else:
        show_net(folder)


def inspect_trees(folder: Path, half: list[Path], tree: list[int], output: Format) -> None:
    """Show trees."""
    from secureboost.cli.console import stdout
    from secureboost.cli.drawing import dot, draw
    from secureboost.cli.layout import print_json
    from secureboost.estimator import LABEL_FILE
    from secureboost.gbdt.model import LabelHalf, PartyHalf, load_half
    from secureboost.inspection import ModelView

    label = load_half(folder / LABEL_FILE, LabelHalf)
    beside = [folder / f"{partner.name}.json" for partner in label.partners]
    files = [*half, *(path for path in beside if path.is_file() and not half)]
    view = ModelView(label, [load_half(path, PartyHalf) for path in files])
    numbers = tree or ([0] if label.trees else [])
    if output is Format.JSON:
        chosen = tree or range(len(label.trees))
        print_json(summary(view, folder) | {"trees": [view.tree(number) for number in chosen]})
        return
    trees = [view.tree(number) for number in numbers]
    if output is Format.DOT:
        typer.echo(dot(trees, view.outputs))
        return
    if not tree:
        show_summary(view, folder)
    for shown in trees:
        stdout().print()
        stdout().print(draw(shown, view.outputs))
    hidden = len(label.trees) - len(trees)
    if not tree and hidden:
        last = len(label.trees) - 1
        stdout().print(f"\nTrees are numbered 0 to {last:,}; --tree shows another.", style="dim")


def summary(view: "ModelView", folder: Path) -> dict[str, Any]:
    """What there is to say of a model beside its trees."""
    from secureboost.api import SecureBoostClassifier

    half = view.half
    return {
        "model_id": half.model_id,
        "objective": half.objective,
        "classes": list(half.classes),
        "base_score": list(half.base_score),
        "rounds": len(half.trees) // view.trees_a_round,
        "n_trees": len(half.trees),
        "best_iteration": half.best_iteration,
        "own_columns": list(half.feature_names),
        "partners": [
            {
                "name": partner.name,
                "columns": partner.n_features,
                "splits": partner.n_splits,
                "readable": partner.name in view.readable,
            }
            for partner in half.partners
        ],
        "constraints": view.constraints(),
        "parameters": view.changed_parameters(SecureBoostClassifier().get_params()),
        "metrics": metrics_of(half.model_id, folder),
        "importances": view.importances(),
    }


def show_summary(view: "ModelView", folder: Path) -> None:
    """Print facts, metrics and importances."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.cli.layout import print_facts

    found = summary(view, folder)
    trees = f"{found['n_trees']:,} in {found['rounds']:,} rounds"
    if found["best_iteration"] is not None:
        trees += " (early stopping chose them)"
    facts = [
        ("model", found["model_id"]),
        ("objective", found["objective"]),
        ("classes", ", ".join(map(str, found["classes"]))),
        ("trees", trees),
        ("base score", ", ".join(f"{value:.4f}" for value in found["base_score"]) + ", raw"),
        ("own columns", f"{len(found['own_columns']):,}"),
        *(
            (
                partner["name"],
                f"{partner['columns']:,} columns, {partner['splits']:,} splits, "
                + ("its half is read" if partner["readable"] else "opaque without its half"),
            )
            for partner in found["partners"]
        ),
        ("constraints", pairs_text(found["constraints"])),
        ("parameters", pairs_text(found["parameters"])),
    ]
    print_facts([(name, value) for name, value in facts if value])
    print_metrics(found["metrics"])
    importances = found["importances"]
    rows = [
        (one.column, one.splits, one.total_gain, f"{one.share:.1%}", "#" * round(30 * one.share))
        for one in importances[:_SHOWN_COLUMNS]
    ]
    hidden = len(importances) - len(rows)
    title = "Columns by gain" + (f", without {hidden:,} smaller ones" if hidden else "")
    heads = ("column", "splits", "gain", "share", "")
    stdout().print(result_table(heads, rows, title=title, texts=("",)))


def metrics_of(model_id: str, folder: Path) -> dict[str, dict[str, float]]:
    """The metrics that the run of this model wrote beside its folder; none if there are none."""
    import msgspec

    from secureboost.run_folder import METRICS_FILE

    try:
        written = msgspec.json.decode((folder.resolve().parent / METRICS_FILE).read_bytes())
        if written["model_id"] == model_id:
            return msgspec.convert(written["folds"], dict[str, dict[str, float]])
    except (OSError, KeyError, TypeError, msgspec.DecodeError):
        return {}
    return {}


def print_metrics(metrics: dict[str, dict[str, float]]) -> None:
    """Print metrics by fold, if there are any."""
    from secureboost.cli.console import result_table, stdout
    from secureboost.quality import Quality, quality_table

    folds = {
        fold: Quality(
            int(values["rows"]), {name: v for name, v in values.items() if name != "rows"}
        )
        for fold, values in metrics.items()
    }
    if folds:
        stdout().print(result_table(*quality_table(folds)))


def pairs_text(values: dict[str, Any]) -> str:
    """Names and values, a pair a line."""
    return "\n".join(f"{name} = {value}" for name, value in values.items())
