"""The check that the documents give to somebody without SecureBoost works."""

import re
from pathlib import Path

import pytest

import secureboost.export

README = Path(secureboost.export.__file__).parent / "README.md"


def test_the_recheck_with_nothing_of_ours(model, release, tmp_path, monkeypatch):
    pytest.importorskip("xgboost")
    model.to_xgboost([release], path=tmp_path / "model.json")
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.M)
    (check,) = [block for block in blocks if "import xgboost" in block]
    assert "secureboost" not in check
    monkeypatch.chdir(tmp_path)
    exec(check, {})  # noqa: S102 - our own document
    vectors = tmp_path / "model.vectors.json"
    vectors.write_text(re.sub(r'"leaves":\[\[\d+', '"leaves":[[99', vectors.read_text()))
    with pytest.raises(AssertionError):
        exec(check, {})  # noqa: S102
