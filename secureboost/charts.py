"""Charts as numbers for an SVG: what the templates of reports draw.

Coordinates are pixels in a frame of `WIDTH` x `HEIGHT` with the origin at the top left, as SVG has
it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 460, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 46
NAMES, ROW, APART = 190, 28, 5
"""Where a chart of named rows begins beside their names; how high a row is; how far apart lie dots
of one row that stand for different things."""

Curve = tuple[str, NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Line:
    """A curve: its name for the legend and ``"x,y x,y ..."`` for the polyline."""

    name: str
    points: str


@dataclass(frozen=True)
class Chart:
    """A line chart.

    Attributes
    ----------
    title, x_title, y_title : str
    lines : tuple of Line
        Drawn in the colours of their positions.
    x_ticks, y_ticks : tuple of (float, str)
        Position in pixels and its text.
    guide : str
        Points of one thin grey line (a diagonal, a gap); empty for none.
    note : str
        A sentence below; empty for none.
    """

    title: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    guide: str = ""
    note: str = ""


def line_chart(
    title: str,
    x_title: str,
    y_title: str,
    curves: Sequence[Curve],
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    guide: tuple[Sequence[float], Sequence[float]] = ((), ()),
    note: str = "",
) -> Chart:
    """Lay a chart out.

    Parameters
    ----------
    title, x_title, y_title : str
    curves : sequence of (name, x, y)
        Arrays of one length each, in data units.
    x_range, y_range : (low, high)
        What the axes span.
    guide : (x, y)
        Points of a thin grey line, in data units.
    note : str
    """

    def place(
        x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]
    ) -> str:
        across, down = _pixels(x, x_range, y, y_range)
        return " ".join(f"{a:.1f},{d:.1f}" for a, d in zip(across, down, strict=True))

    x_values, y_values = _ticks(*x_range), _ticks(*y_range)
    across, _ = _pixels(x_values, x_range, [y_range[0]] * len(x_values), y_range)
    _, down = _pixels([x_range[0]] * len(y_values), x_range, y_values, y_range)
    return Chart(
        title,
        x_title,
        y_title,
        tuple(Line(name, place(x, y)) for name, x, y in curves),
        tuple(zip(across.tolist(), map(_text, x_values), strict=True)),
        tuple(zip(down.tolist(), map(_text, y_values), strict=True)),
        place(*guide),
        note,
    )


@dataclass(frozen=True)
class Dots:
    """A dot in each row: what they stand for in the legend, and their places in pixels."""

    name: str
    places: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class DotChart:
    """Named rows with dots in them.

    Attributes
    ----------
    title, x_title : str
    names : tuple of (float, str)
        Height of each row in pixels, and its name.
    dots : tuple of Dots
        In the colours of their positions.
    x_ticks : tuple of (float, str)
    bottom, height : float
        Where the plot ends; of the whole.
    guide : str
        Points of one thin grey line; empty for none.
    note : str
        A sentence below; empty for none.
    """

    title: str
    x_title: str
    names: tuple[tuple[float, str], ...]
    dots: tuple[Dots, ...]
    x_ticks: tuple[tuple[float, str], ...]
    bottom: float
    height: float
    guide: str = ""
    note: str = ""


def dot_chart(
    title: str,
    x_title: str,
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    x_range: tuple[float, float],
    guide: float | None = None,
    note: str = "",
) -> DotChart:
    """Lay a chart out whose rows are named, from the top down.

    Parameters
    ----------
    title, x_title : str
    names : sequence of str
    series : sequence of (name, values)
        A value for each row, in data units.
    x_range : (low, high)
        What the axis spans.
    guide : float, optional
        Where a thin grey line stands.
    note : str
    """
    low, high = x_range
    heights = [TOP + ROW * (number + 0.5) for number in range(len(names))]
    bottom = float(TOP + ROW * len(names))

    def place(value: float) -> float:
        return round(NAMES + (value - low) / (high - low) * (WIDTH - NAMES - RIGHT), 1)

    return DotChart(
        title,
        x_title,
        tuple(zip(heights, names, strict=True)),
        tuple(
            Dots(
                name,
                tuple(
                    (place(value), height + APART * (number - (len(series) - 1) / 2))
                    for value, height in zip(values, heights, strict=True)
                ),
            )
            for number, (name, values) in enumerate(series)
        ),
        tuple((place(value), _text(value)) for value in _ticks(low, high)),
        bottom,
        bottom + BOTTOM,
        "" if guide is None else f"{place(guide)},{TOP} {place(guide)},{bottom}",
        note,
    )


def _pixels(
    x: Sequence[float] | NDArray[np.float64],
    x_range: tuple[float, float],
    y: Sequence[float] | NDArray[np.float64],
    y_range: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    across = (np.asarray(x, dtype=np.float64) - x_range[0]) / (x_range[1] - x_range[0])
    up = (np.asarray(y, dtype=np.float64) - y_range[0]) / (y_range[1] - y_range[0])
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from `low` to `high`."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [float(number * step) for number in range(first, last + 1)]


def _text(value: float) -> str:
    return f"{value:.4g}"
