import datetime
import pickle
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from secureboost.align.options import AlignOptions
from secureboost.align.policy import AlignPolicy
from secureboost.api import SecureBoostRegressor
from secureboost.cli.train import parameters_of
from secureboost.config import (
    HoldOut,
    PolicyLimits,
    load_serve_config,
    load_train_config,
    write_example,
)
from secureboost.config_align import FeatureAlign, LabelAlign, check_keys, columns_of
from secureboost.config_types import check_party_name
from secureboost.errors import ConfigError
from secureboost.gbdt.policy import Policy
from secureboost.run import make_model
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
    assert config.align == FeatureAlign(min_size=100)


def test_columns_of_categories_and_directions_are_named(train_file, serve_file):
    assert load_train_config(train_file).data.categorical == []
    config = load_train_config(train_file, ["data.categorical=['branch']"])
    assert config.data.categorical == ["branch"]
    config = load_serve_config(serve_file)
    assert (config.data.categorical, config.data.monotone) == ([], {})
    config = load_serve_config(
        serve_file, ["data.categorical=['branch']", "data.monotone.income=-1"]
    )
    assert (config.data.categorical, config.data.monotone) == (["branch"], {"income": -1})


def test_rows_are_held_out_by_share_or_by_day(train_file):
    assert load_train_config(train_file).hold_out == HoldOut(0.2)
    newest = load_train_config(train_file, ["data.date=applied"]).hold_out
    assert newest == HoldOut(0.2, date="applied")
    day = ["data.date=applied", "test_size=0", "data.test_from="]
    for text in ("2023-07-01", "'2023-07-01'"):
        chosen = load_train_config(train_file, [*day[:2], day[2] + text]).hold_out
        assert chosen == HoldOut(date="applied", test_from=datetime.date(2023, 7, 1))
    assert load_train_config(train_file, ["test_size=0"]).hold_out.share == 0
    assert HoldOut().share == 0.2


@pytest.mark.parametrize(
    ("overrides", "path", "message"),
    [
        (["data.test_from=2023-07-01"], "data.test_from", "needs date, the column with each row's"),
        (
            ["data.date=applied", "data.test_from=2023-07-01"],
            "test_size",
            "give either test_size or data.test_from, not both",
        ),
        (
            ["data.date=applied", "test_size=0"],
            "data.date",
            "names the days, but nothing is held out by them: set data.test_from to a day",
        ),
        (
            ["data.test_from=2023"],
            "data.test_from",
            "2023 cannot be used: it must be a date such as",
        ),
        (["data.test_from='1.7.2023'"], "data.test_from", "it must be a date such as 2025-12-31"),
    ],
)
def test_hold_outs_that_cannot_be(train_file, overrides, path, message):
    with pytest.raises(ConfigError) as caught:
        load_train_config(train_file, overrides)
    assert (caught.value.path, message in caught.value.message) == (path, True), caught.value


def test_the_estimators_parameters_are_those_of_model_and_data(train_file):
    overrides = [
        "data.categorical=['branch']",
        "model.monotone_constraints={income=-1, 'bureau/0'=1}",
        "model.interaction_constraints=[['income'], ['bureau']]",
        "model.objective='reg:gamma'",
    ]
    parameters = parameters_of(load_train_config(train_file, overrides))
    model = make_model(parameters)
    assert isinstance(model, SecureBoostRegressor)
    assert model.categorical_features == ["branch"]
    assert model.monotone_constraints == {"income": -1, "bureau/0": 1}
    assert model.interaction_constraints == [["income"], ["bureau"]]
    assert model.eval_metric == ["rmse", "gamma-deviance"]
    with pytest.raises(ConfigError, match=r"is given in .data. as categorical already"):
        parameters_of(
            load_train_config(train_file, [*overrides, "model.categorical_features=['a']"])
        )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"monotone_constraints": 5}, "monotone_constraints=5 cannot be used: Expected 'object"),
        ({"monotone_constraints": {"a": "up"}}, "Expected 'int', got 'str'"),
        ({"interaction_constraints": ["a"]}, "Expected 'array', got 'str'"),
        ({"class_weight": 5}, "class_weight=5 cannot be used"),
        ({"categorical_features": "a"}, "categorical_features='a' cannot be used"),
        ({"early_stopping_rounds": True}, "early_stopping_rounds=True is not a whole number"),
        ({"objective": "reg:gamma", "base_score": -1.0}, "base_score=-1.0: reg:gamma takes a num"),
    ],
)
def test_parameters_of_the_wrong_form_are_told_before_any_work(setting, message):
    with pytest.raises(ConfigError) as caught:
        make_model(setting)
    assert message in str(caught.value)


def test_classes_of_weights_are_those_of_the_label():
    assert make_model({"class_weight": {"0": 1, "1": 5}}).class_weight == {0: 1, 1: 5}
    assert make_model({"class_weight": {"good": 1}}).class_weight == {"good": 1}


@pytest.mark.parametrize("kind", ["train", "serve"])
def test_every_line_of_an_example_can_be_switched_on(kind, tmp_path):
    write_example(kind, tmp_path / "example.toml")
    lines = (tmp_path / "example.toml").read_text().splitlines()
    on = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in lines
    ]
    (tmp_path / "example.toml").write_text("\n".join(on[3:]))
    config = {"train": load_train_config, "serve": load_serve_config}[kind]
    assert config(tmp_path / "example.toml").data.categorical == ["branch"]


def test_limits_of_alignments_are_those_of_their_options():
    assert LabelAlign().options() == AlignOptions()
    limits = {name: getattr(FeatureAlign(), name) for name in asdict(AlignPolicy())}
    assert limits == asdict(AlignPolicy())


def test_ids_may_be_several_columns_with_rules(train_file, serve_file):
    chosen = ["data.id=['name', 'born']", "align.rules={name='text', born='date:%d.%m.%Y'}"]
    for config in (load_train_config(train_file, chosen), load_serve_config(serve_file, chosen)):
        assert columns_of(config.data.id) == ["name", "born"]
        assert str(check_keys(config.data.id, config.align)) == "text, date:%d.%m.%Y"
    assert columns_of("id") == ["id"]


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
        ("data.id=7", "data.id", "7 cannot be used: it must be text or a list"),
        ("data.id=[]", "data.id", "its length must be at least 1"),
        ("data.id=['a', 'a']", "data.id", "a key column occurs twice: a, a"),
        ("align.rules={name='text'}", "align.rules.name", "is no key column; those are: id."),
        ("align.rules={id='txt'}", "align.rules.id", "'txt' is no rule; there are: exact, text,"),
        ("align.duplicates=all", "align.duplicates", "'all' is not one of: error, first, last."),
        ("align.result=size", "align.result", "secureboost align CONFIG --size-only"),
        (
            "align.result=bth",
            "align.result",
            "'bth' is not one of: both, label-party, size. Did yo",
        ),
        ("align.group=x25519", "align.group", "use one of: ristretto255, p256"),
        ("align.padding=-1", "align.padding", "-1 cannot be used: it must be at least 0"),
        ("align.min_size=0", "align.min_size", "it must be at least 1"),
        ("align.time=applied", "align.window", "say how much older a feature party's row may be"),
        ("align.window=365d", "align.window", "is for rows with a time; set time"),
        ("align={time='a', window='1y'}", "align.window", "'1y' is no length of time; write it"),
        ("align={time='a', window='9d', lag='1h'}", "align.lag", "is in seconds, window in days"),
        ("align={time='a', window='1d', lag='2d'}", "align.lag", "is 2, above window=1"),
        ("align={time='a', window=9, padding=1}", "align.padding", "cannot be hidden where rows"),
        ("align={keep_unmatched=0.5}", "align.keep_unmatched", "is for rows with a time"),
        ("align.method=rsb", "align.method", "'rsb' is not a method; there is: ecdh, rsa."),
        ("align={method='rsa', min_size=2}", "align.min_size", "2 cannot be held: with method"),
        ("data.id=''", "data.id", "its length must be at least 1"),
        ("data.file=3", "data.file", "3 cannot be used: it must be text"),
        ("party.bureau.timeout=0", "party.bureau.timeout", "it must be above 0"),
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
        ("policy.max_bin=256", "policy.max_bin", "256 cannot be used: it must be at most 255"),
        ("policy.min_child_samples=0", "policy.min_child_samples", "it must be at least 1"),
        ("align.dates=['paid']", "align.dates", "is for rows with a time; set time"),
        ("align.max_signatures=9", "align.max_signatures", "is for signing_key, the key that"),
        ("align.padding=1", "align.padding", "there is no such setting."),
        ("policy.max_bins=9", "policy.max_bins", "Did you mean 'max_bin'?"),
        ("dial='a:1'", "dial", "exactly one of 'dial' (we dial) and 'listen' (we wait)"),
        ("listen='a:99999'", "listen", "a port of 0 to 65535"),
        ("data.categorical='job'", "data.categorical", "it must be a list"),
        ("data.categorical=['']", "data.categorical", "its length must be at least 1"),
        ("data.monotone.income='up'", "data.monotone", "it must be a whole number"),
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
