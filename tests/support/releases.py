"""Releases of halves that no party keeps."""

from typing import Any

from secureboost.export.consent import Release, release_half
from secureboost.gbdt.model import PartyHalf
from secureboost.gbdt.store import MemoryStore


def release_of(half: PartyHalf, **options: Any) -> Release:
    """Release a half as its party would."""
    store = MemoryStore()
    store.save(half)
    return release_half(store, half.model_id, **{"purpose": "a test", **options})
