import pickle
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from secureboost.config import (
    PolicyLimits,
    check_party_name,
    load_serve_config,
    load_train_config,
    write_example,
)
from secureboost.errors import ConfigError
from secureboost.gbdt.policy import Policy
from secureboost.settings import apply_overrides, check_names


@pytest.fixture
def train_file(tmp_path):
    write_example("train", tmp_path / "train.toml")
    return tmp_path / "train.toml"


@pytest.fixture
def serve_file(tmp_path):
    write_example("serve", tmp_path / "serve.toml")
    return tmp_path / "serve.toml"


def test_train_example_is_valid_and_paths_are_relative_to_it(train_file):
    config = load_train_config(train_file)
    folder = train_file.parent.resolve()
    assert config.data.file == folder / "lender.csv"
    assert config.out == folder / "run"
    assert config.data.positive is None
    assert list(config.party) == ["bureau"]
    assert config.party["bureau"].address == "bureau.example:7443"
    assert config.party["bureau"].certificate == folder / "bureau.crt"
    assert config.model["n_estimators"] == 20


def test_serve_example_is_valid_and_prudent(serve_file):
    config = load_serve_config(serve_file)
    assert config.listen == "127.0.0.1:7443"
    assert config.dial is None
    assert config.policy == PolicyLimits(min_child_samples=20, max_bin=64)


def test_policy_limits_are_the_feature_partys_policy():
    assert msgspec.structs.asdict(PolicyLimits()) == asdict(Policy())


def test_absolute_paths_stay(train_file):
    assert load_train_config(train_file, ["out=/somewhere/else"]).out == Path("/somewhere/else")


def test_examples_do_not_overwrite(train_file):
    with pytest.raises(ConfigError, match="the file exists; name another"):
        write_example("train", train_file)


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        ("party.bureau.adress='a:1'", "party.bureau.adress", "Did you mean 'address'?"),
        (
            "dta.file='x'",
            "dta",
            "Did you mean 'data'? Known here: data, tls, party, out, test_size,",
        ),
        ("data.id=7", "data.id", "7 cannot be used: Expected 'str', got 'int'"),
        ("data.id=''", "data.id", "Expected 'str' of length >= 1"),
        ("data.file=3", "data.file", "3 cannot be used: Expected 'str', got 'int'"),
        ("party.bureau.timeout=0", "party.bureau.timeout", "Expected 'float' > 0"),
        ("party.bureau.timeout=nan", "party.bureau.timeout", "nan cannot be used"),
        ("party.bureau.address='bureau'", "party.bureau.address", "'bureau' is not host:port"),
        ("party.bureau.address='b:70000'", "party.bureau.address", "a port of 1 to 65535"),
        ("party.bureau.listen='a:1'", "party.bureau.address", "exactly one of 'address'"),
        ("party.telco.address='a:1'", "party.telco.certificate", "is missing"),
        ("party.bureau=1", "party.bureau", "is 1 but must be a table: [party.bureau]"),
        ("party={}", "party", "name at least one feature party"),
        ("party.label={address='a:1', certificate='c'}", "party.label", "'label' is taken"),
        ("data=5", "data", "is 5 but must be a table"),
        ("model=5", "model", "5 cannot be used"),
    ],
)
def test_errors_carry_the_path_of_the_bad_key(train_file, override, path, message):
    with pytest.raises(ConfigError) as caught:
        load_train_config(train_file, [override])
    assert caught.value.path == path
    assert message in caught.value.message
    assert str(caught.value) == f"{path}: {caught.value.message}"


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        ("policy.max_bin=256", "policy.max_bin", "256 cannot be used: Expected 'int' <= 255"),
        ("policy.min_child_samples=0", "policy.min_child_samples", "Expected 'int' >= 1"),
        ("policy.max_bins=9", "policy.max_bins", "Did you mean 'max_bin'?"),
        ("dial='a:1'", "dial", "exactly one of 'dial' (we dial) and 'listen' (we wait)"),
        ("listen='a:99999'", "listen", "a port of 0 to 65535"),
        ("label_party.certificate=''", "label_party.certificate", "cannot be used"),
    ],
)
def test_serve_errors(serve_file, override, path, message):
    with pytest.raises(ConfigError) as caught:
        load_serve_config(serve_file, [override])
    assert caught.value.path == path
    assert message in caught.value.message


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: there is no such file"):
        load_train_config(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_train_config(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text("out = \n")
    with pytest.raises(ConfigError, match=r"not valid TOML: .* line 1"):
        load_train_config(bad)
    bad.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_train_config(bad)


def test_overrides_are_toml_or_plain_words():
    settings = {"data": {"file": "a.csv"}, "out": "run"}
    changed = apply_overrides(
        settings,
        [
            "data.file=b.csv",
            "max_depth=5",
            "model.rate = 0.5",
            "grow_policy=lossguide",
            "x=true",
            "listen=127.0.0.1:0",
            "note='a=b'",
            "list=[1, 2]",
        ],
    )
    assert changed == {
        "data": {"file": "b.csv"},
        "out": "run",
        "max_depth": 5,
        "model": {"rate": 0.5},
        "grow_policy": "lossguide",
        "x": True,
        "listen": "127.0.0.1:0",
        "note": "a=b",
        "list": [1, 2],
    }
    assert settings == {"data": {"file": "a.csv"}, "out": "run"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_depth", "--set 'max_depth' is not of the form name=value"),
        ("=5", "is not of the form"),
        ("a..b=5", "is not of the form"),
        ("out.x.y=1", "out: is a value, not a table"),
        ("x='open", "x: --set value is not TOML"),
        ("x=[1,", "x: --set value is not TOML"),
        ("x=", "x: --set value is not TOML"),
        ("x=1\ny=2", "x: --set takes one value"),
    ],
)
def test_bad_overrides(override, message):
    with pytest.raises(ConfigError) as caught:
        apply_overrides({"out": "run"}, [override])
    assert message in str(caught.value)


def test_unknown_names_get_the_nearest_one():
    check_names(["max_depth"], ["max_depth", "max_bin"], "model")
    with pytest.raises(ConfigError) as caught:
        check_names(["maxdepth"], ["max_depth", "max_bin"], "model")
    assert str(caught.value) == (
        "model.maxdepth: there is no such setting. Did you mean 'max_depth'? "
        "Known here: max_depth, max_bin."
    )


@pytest.mark.parametrize("name", ["", "1st", "a b", "../x", "Label", "x" * 65])
def test_party_names_must_suit_files(name):
    with pytest.raises(ConfigError, match="cannot name a feature party"):
        check_party_name(name)
    check_party_name("bureau-2_x")


def test_config_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(ConfigError("is bad", "a.b")))  # noqa: S301
    assert str(error) == "a.b: is bad"
    assert isinstance(error, ValueError)
