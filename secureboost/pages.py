"""HTML pages that need nothing else: one file, with what is drawn in it."""

from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from secureboost._version import __version__
from secureboost.charts import BOTTOM, HEIGHT, LEFT, NAMES, RIGHT, TOP, WIDTH
from secureboost.units import format_bytes, format_seconds


def render_page(template: str, **values: Any) -> str:
    """Fill a template of this package in.

    Parameters
    ----------
    template : str
        Name of its file. It knows the frames of charts and when the page was made.
    **values
        What it shows.
    """
    pages = Environment(
        loader=PackageLoader("secureboost"), autoescape=True, undefined=StrictUndefined
    )
    pages.filters.update(bytes=format_bytes, seconds=format_seconds)
    pages.globals.update(
        size=(WIDTH, HEIGHT),
        plot=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM),
        beside_names=(NAMES, TOP, WIDTH - RIGHT),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )
    return pages.get_template(template).render(**values)
