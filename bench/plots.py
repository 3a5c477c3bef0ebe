"""Plots of results, where matplotlib is installed (extra ``bench``)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from show import RESULTS

DPI = 110
BLUE, ORANGE, GREY = "#4c78a8", "#f58518", "#9a9a9a"
PHASES = {
    "encrypt": "#4c78a8",
    "send": "#9ecae9",
    "wait": "#d6d6d6",
    "decrypt": "#f58518",
    "histogram": "#54a24b",
    "split": "#88d27a",
    "divide": "#b279a2",
    "check": "#b79a20",
    "plan": "#f2cf5b",
    "sum": "#e45756",
    "pack": "#ff9d98",
    "rerandomise": "#9d755d",
    "other": "#efefef",
}
"""Colour of each kind of work, the same in every plot."""


@contextmanager
def figure(name: str, panels: tuple[int, int], size: tuple[float, float]) -> Iterator[Any]:
    """Give a figure's axes, row by row, and write ``results/<name>.png`` when the block ends.

    Gives None where matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed (pip install 'secureboost[bench]')")
        yield None
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "legend.frameon": False,
    }
    with mpl.rc_context(style):
        drawing, axes = plt.subplots(
            *panels, figsize=size, layout="constrained", squeeze=False, dpi=DPI
        )
        yield axes.ravel()
        RESULTS.mkdir(exist_ok=True)
        drawing.savefig(RESULTS / f"{name}.png")
        plt.close(drawing)


def bars(ax: Any, labels: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> None:
    """Horizontal bars on a log axis, the first on top, with their values beside them."""
    drawn = ax.barh(labels, values, color=colours, height=0.65)
    ax.set_xscale("log")
    ax.set_xlim(min(values) / 2, max(values) * 3)
    ax.bar_label(drawn, [f"{value:.3g}" for value in values], padding=3)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def stacks(ax: Any, parts: Mapping[str, Mapping[str, float]]) -> None:
    """Horizontal stacked bars: for each label, seconds by kind of work; with a legend below."""
    left = dict.fromkeys(parts, 0.0)
    visible = 0.003 * max(sum(work.values()) for work in parts.values())
    for phase, colour in PHASES.items():
        values = [work.get(phase, 0.0) for work in parts.values()]
        if max(values) < visible:
            continue
        ax.barh(
            list(parts), values, left=list(left.values()), color=colour, height=0.6, label=phase
        )
        for label, value in zip(parts, values, strict=True):
            left[label] += value
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=5, fontsize=8, columnspacing=1.2
    )
