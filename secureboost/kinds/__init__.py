"""What a run on the command line needs to know of each kind of model, by its trainer's name.

A trainer's line in `secureboost.trainers` names the module here that runs it. What is imported is
that of the kinds that are used, so trees need nothing that only networks need.
"""

import importlib
from pathlib import Path

from secureboost.errors import ModelError
from secureboost.kinds.base import Kind, Model
from secureboost.splitnn.errors import needing_torch
from secureboost.trainers import MODEL_TRAINERS, Trainer, get_model_trainer

__all__ = ["Kind", "Model", "get_kind", "kind_in", "kind_of", "trainer_in"]


def get_kind(trainer: str) -> Kind:
    """Look up how a trainer's models are run.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is no trainer of that name.
    secureboost.splitnn.errors.TorchMissingError
        If it needs torch, which is not installed.
    """
    module = get_model_trainer(trainer).kind
    with needing_torch():
        kind: Kind = importlib.import_module(module).KIND
    return kind


def kind_of(model: Model) -> Kind:
    """How a model is run."""
    return get_kind(model.trainer.name)


def kind_in(folder: Path) -> Kind:
    """How the model in a folder is run.

    Raises
    ------
    secureboost.errors.ModelError
        If there is none.
    secureboost.splitnn.errors.TorchMissingError
        If it needs torch, which is not installed.
    """
    return get_kind(trainer_in(folder).name)


def trainer_in(folder: Path) -> Trainer:
    """Whose model lies in a folder, by the file of the label party's half.

    Raises
    ------
    secureboost.errors.ModelError
        If there is none, or more than one.
    """
    found = [t for t in MODEL_TRAINERS.values() if (folder / t.label_file).exists()]
    if len(found) > 1:
        raise ModelError(f"{folder} holds models of several kinds; name the folder of one.")
    if not found:
        files = " or ".join(trainer.label_file for trainer in MODEL_TRAINERS.values())
        raise ModelError(
            f"{folder / files}: no such file. The label party's half of a model lies in the folder "
            "given to save() or --out."
        )
    return found[0]
