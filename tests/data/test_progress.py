"""Progress in a pipe, a terminal and a notebook."""

import copy
import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from secureboost import FeatureParty, SecureBoostClassifier
from secureboost.align.aligned import AlignProgress
from secureboost.alignment_progress import AlignmentProgress
from secureboost.progress import ProgressBar, TrainingProgress, metric_text


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def values(number):
    return {
        "train": {"logloss": [0.5] * number, "auc": [0.8] * number},
        "test": {"logloss": [0.6] * number, "auc": [0.7712] * number},
    }


def test_a_pipe_gets_a_line_now_and_then():
    out, clock = io.StringIO(), Clock()
    plain = Console(file=out, width=200, highlight=False)
    with TrainingProgress(20, lambda: int(1e6 * clock.now), plain, clock) as progress:
        for number in range(1, 21):
            clock.now = 10.0 * number
            progress.update(number, values(number))
    text = "MB sent, auc: train 0.8000, test 0.7712,"
    assert out.getvalue().splitlines() == [
        f"1 of 20 rounds, 10 {text} 3 min 10 s left",
        f"4 of 20 rounds, 40 {text} 2 min 40 s left",
        f"7 of 20 rounds, 70 {text} 2 min 10 s left",
        f"10 of 20 rounds, 100 {text} 1 min 40 s left",
        f"13 of 20 rounds, 130 {text} 1 min 10 s left",
        f"16 of 20 rounds, 160 {text} 40 s left",
        f"19 of 20 rounds, 190 {text} 10 s left",
        f"20 of 20 rounds, 200 {text} took 3 min 20 s",
    ]


def test_an_alignment_tells_how_much_is_done():
    out, clock = io.StringIO(), Clock()
    plain = Console(file=out, width=200, highlight=False)
    with AlignmentProgress(1_000, 1, lambda: int(1e5 * clock.now), plain, clock):
        pass
    assert out.getvalue() == ""  # nothing had to be aligned
    with AlignmentProgress(1_000, 1, lambda: int(1e5 * clock.now), plain, clock) as progress:
        for step, total in (("send", 1_000), ("fetch", 2_000), ("compare", 1_000), ("tell", 900)):
            for done in (total // 2, total):
                clock.now += 20.0
                progress.show_step(AlignProgress("bureau", step, done, total))
    assert out.getvalue().splitlines() == [
        "16 % aligned, 2 MB sent, 1 min 40 s left",
        "50 % aligned, 6 MB sent, 1 min 00 s left",
        "87 % aligned, 10 MB sent, 14 s left",
        "100 % aligned, 16 MB sent, took 2 min 00 s",
    ]


def test_the_bar_of_a_fit_shows_the_alignment_before_it():
    out = io.StringIO()
    ids = pd.Index([f"C{number}" for number in range(60)], name="id")
    draws = np.random.default_rng(1)
    X = pd.DataFrame(draws.normal(size=(50, 1)), index=ids[:50])
    bureau = FeatureParty("bureau", pd.DataFrame({"late": draws.normal(size=60)}, ids), align=True)
    bar = ProgressBar(Console(file=out, width=200))
    model = SecureBoostClassifier(n_estimators=1, max_depth=1, scheme="plain", callbacks=[bar])
    for _ in range(2):  # the second fit knows the common rows
        model.fit(X, X[0] > 0, parties=[bureau])
    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"33 % aligned, \d+ bytes sent, .* left", lines[0])
    assert re.fullmatch(r"100 % aligned, [\d.]+ kB sent, took .*", lines[1])
    assert [line.split(",")[0] for line in lines[2:]] == ["1 of 1 rounds"] * 2


def test_an_early_end_is_told():
    out, clock = io.StringIO(), Clock()
    with TrainingProgress(100, console=Console(file=out, width=200), clock=clock) as progress:
        for number in (1, 2, 3):
            clock.now += 1.0
            progress.update(number, {})
    assert out.getvalue().splitlines() == [
        "1 of 100 rounds, 1 min 39 s left",
        "3 of 100 rounds, took 3.00 s",
    ]


def test_a_run_that_goes_on_starts_where_it_was():
    out, clock = io.StringIO(), Clock()
    progress = TrainingProgress(20, console=Console(file=out, width=200), clock=clock)
    progress.start_at(12)
    assert progress.state_text() == "12 of 20 rounds"
    assert progress.time_left_text() == "time left unknown"
    clock.now = 9.0  # most of it went into the key
    progress.update(13, {})
    clock.now = 11.0
    progress.update(14, {})
    assert progress.time_left_text() == "12 s left"
    assert out.getvalue().splitlines() == ["13 of 20 rounds, 1 min 03 s left"]


def test_a_terminal_gets_a_bar_that_ends_with_an_error():
    out, clock = io.StringIO(), Clock()
    terminal = Console(file=out, force_terminal=True, width=80)
    progress = TrainingProgress(100, lambda: 999_000_000, terminal, clock)

    def interrupted_run():
        with progress:
            assert progress.time_left_text() == "time left unknown"
            clock.now = 4.0
            progress.update(1, values(1))
            clock.now = 5.0
            assert progress.time_left_text() == "6 min 35 s left"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert "1 of 100 rounds, 999 MB sent, auc 0.8000/0.7712" in out.getvalue()  # in one line
    assert out.getvalue().endswith("\x1b[?25h")  # the cursor is shown again


def test_the_metric_that_decides():
    assert metric_text({}) == metric_text({"train": {}}) == ""
    assert metric_text(values(2)) == "auc: train 0.8000, test 0.7712"
    assert metric_text(values(2), short=True) == "auc 0.8000/0.7712"


class Handle:
    """What IPython gives for something that is displayed."""

    def __init__(self, page):
        self.pages = [page]

    def update(self, page):
        self.pages.append(page)


def test_a_notebook_gets_a_bar_without_widgets(monkeypatch):
    handles = []

    def display(page, *, display_id):
        assert display_id is True
        handles.append(Handle(page))
        return handles[-1]

    fake = SimpleNamespace(display=display, HTML=lambda text: text)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=fake))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    notebook = Console(file=io.StringIO(), force_jupyter=True)
    clock = Clock()
    with TrainingProgress(4, console=notebook, clock=clock) as progress:
        clock.now = 2.0
        progress.update(1, {"<a>": {"auc": [0.5]}})
    (handle,) = handles
    assert handle.pages[0].startswith('<progress value="0" max="4"></progress> 0 of 4 rounds')
    assert "auc: &lt;a&gt; 0.5000, 6 s left" in handle.pages[1]
    assert handle.pages[-1].startswith('<progress value="1" max="1"></progress>')


@pytest.fixture(scope="module")
def table():
    X = np.random.default_rng(0).normal(size=(80, 2))
    return X, (X[:, 0] > 0).astype(int)


def test_the_callback_shows_a_fit(table):
    out = io.StringIO()
    bar = ProgressBar(Console(file=out, width=200))
    SecureBoostClassifier(n_estimators=3, max_depth=2, callbacks=[bar]).fit(
        *table, eval_set=[table]
    )
    first, last = out.getvalue().splitlines()
    assert first.startswith("1 of 3 rounds, logloss: validation_0 0.")
    assert last.startswith("3 of 3 rounds, logloss: validation_0 0.")
    assert ", took " in last


def test_a_copied_estimator_has_a_bar_of_its_own(table):
    console = Console(file=io.StringIO(), force_terminal=True)
    model = SecureBoostClassifier(n_estimators=1, callbacks=[ProgressBar(console)]).fit(*table)
    other = copy.deepcopy(model.get_params()["callbacks"])[0]
    assert other is not model.callbacks[0]
    other.before_training(model)
    other.close()
    other.close()
