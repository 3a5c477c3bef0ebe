"""``secureboost model inspect`` of a network."""

from pathlib import Path
from typing import Any

from secureboost.cli.console import result_table, stdout
from secureboost.cli.layout import print_facts
from secureboost.cli.model import metrics_of, pairs_text, print_metrics
from secureboost.splitnn.base_estimator import LABEL_FILE
from secureboost.splitnn.estimator import SplitNNClassifier
from secureboost.splitnn.model import TopHead, decode_half, read_half
from secureboost.splitnn.store import SUFFIX


def net_summary(folder: Path) -> dict[str, Any]:
    """What there is to say of a network.

    Raises
    ------
    secureboost.errors.ModelError
        If the label party's half is damaged.
    """
    path = folder / LABEL_FILE
    head, tensors = decode_half(read_half(path), TopHead, str(path))
    defaults = SplitNNClassifier().get_params()
    return {
        "model_id": head.model_id,
        "objective": head.objective,
        "classes": list(head.classes),
        "labels": list(head.labels),
        "architecture": head.parameters["architecture"],
        "best_iteration": head.best_iteration,
        "dtype": head.dtype,
        "codec": head.codec,
        "weights_here": sum(tensor.numel() for tensor in tensors.values()),
        "own_columns": list(head.feature_names),
        "bottoms": [
            {"party": bottom.party, "architecture": bottom.architecture.name, "width": bottom.width}
            for bottom in head.bottoms
        ],
        "body_at": head.body_at or None,
        "partners": [
            {
                "name": partner.name,
                "width": partner.width,
                "half_here": (folder / f"{partner.name}{SUFFIX}").is_file(),
            }
            for partner in head.partners
        ],
        "parameters": {
            name: value
            for name, value in head.parameters.items()
            if name in defaults and value != defaults[name]
        },
        "metrics": metrics_of(head.model_id, folder),
        "metrics_without": head.metrics_without,
    }


def show_net(folder: Path) -> None:
    """Print facts and metrics of a network."""
    found = net_summary(folder)
    best = found["best_iteration"]
    facts = [
        ("model", found["model_id"]),
        ("objective", found["objective"]),
        ("classes", ", ".join(map(str, found["classes"]))),
        ("labels", ", ".join(found["labels"])),
        ("network", found["architecture"]),
        ("epoch", "" if best is None else f"{best + 1:,} (early stopping chose it)"),
        ("cut", f"codec {found['codec']}, {found['dtype']}"),
        ("weights", f"{found['weights_here']:,} in this half"),
        ("own columns", f"{len(found['own_columns']):,}"),
        *(
            (
                f"bottom of {bottom['party'] or 'label party'}",
                f"{bottom['architecture']}, {bottom['width']} numbers of a row",
            )
            for bottom in found["bottoms"]
        ),
        ("body", f"computed by {found['body_at']}" if found["body_at"] else ""),
        *(
            (
                partner["name"],
                f"{partner['width']} numbers of a row, its half is "
                + ("here" if partner["half_here"] else "its own"),
            )
            for partner in found["partners"]
        ),
        ("parameters", pairs_text(found["parameters"])),
    ]
    print_facts([(name, value) for name, value in facts if value])
    print_metrics(found["metrics"])
    without = [
        (missing or "nobody", fold, metric, value)
        for missing, folds in found["metrics_without"].items()
        for fold, values in folds.items()
        for metric, value in values.items()
    ]
    if without:
        columns = ("without", "rows", "metric", "value")
        stdout().print(result_table(columns, without, title="Where a party is missing"))
