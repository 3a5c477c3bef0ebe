"""Where torch is missing, either side says what to install; trees go on as before."""

import os

import pytest
from support.companies import Process, address, make_companies, sets

INSTALL = "pip install 'secureboost[nn]' --extra-index-url https://download.pytorch.org/whl/cpu"


@pytest.fixture
def without_torch(tmp_path):
    """Variables of a process in which torch cannot be imported."""
    folder = tmp_path / "stub"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    path = filter(None, [str(folder), os.environ.get("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join(path)}


def test_the_label_party_is_told_what_to_install(tmp_path, without_torch):
    companies = make_companies(tmp_path)
    settings = sets(("trainer=splitnn",))
    with Process("train", companies.train_toml, *settings, **without_torch) as trained:
        assert trained.end() == 3
    assert INSTALL in trained.text
    assert "Traceback" not in trained.text


def test_a_feature_party_is_told_what_to_install_and_serves_trees_without(tmp_path, without_torch):
    companies = make_companies(tmp_path)
    settings = sets(("nets.min_batch_rows=4",))
    with Process("serve", companies.serve_toml, *settings, **without_torch) as served:
        assert served.end() == 3
    assert INSTALL in served.text
    with (
        Process("serve", companies.serve_toml, **without_torch) as served,
        companies.train(address(served), "model.n_estimators=1") as trained,
    ):
        assert trained.end() == 0, trained.text
