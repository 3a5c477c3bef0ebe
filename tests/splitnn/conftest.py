"""Tests of split networks; where torch is missing they are skipped, each file with the reason."""

import importlib.util

import pytest

MISSING = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]


class SkippedModule(pytest.Module):
    """A file that is not even imported."""

    def collect(self):
        pytest.skip(f"{' and '.join(MISSING)} not installed; make test-nn installs them")


def pytest_pycollect_makemodule(module_path, parent):
    if not MISSING:
        return None
    return SkippedModule.from_parent(parent, path=module_path)
