"""Tables and plots of what `splitnn.py` measures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plots
from net_party import FEATURE
from net_quality import CODECS, FLIGHTS, KINDS, PLAIN, STEPS, Setting, Trained, aucs, difference
from net_speed import FAR_MS, OWN, PARTNER, SIZES, WAYS, Speed, Way
from show import Grid

Quality = Mapping[str, Mapping[str, Sequence[Trained]]]
"""`net_quality.measure_quality`'s results: by table and setting."""

NETWORK = f"2 x {SIZES.hidden[0]} units each, a cut of {SIZES.cut}, batches of {SIZES.batch:,}"
TARGETS: Mapping[Way, tuple[str, float]] = {
    Way(1): ("torch", 0.40),
    Way(2): ("torch", 0.60),
    Way(8, round_trip_ms=FAR_MS): ("near", 0.70),
}
"""Which share of what a way must reach: of plain torch, or of its own speed without delay."""


def way_name(way: Way) -> str:
    """In words."""
    parts = [f"{way.in_flight} in flight"]
    if way.local_steps > 1:
        parts.append(f"{way.local_steps} local steps")
    if way.codec != "identity":
        parts.append(way.codec)
    if way.round_trip_ms:
        parts.append(f"{way.round_trip_ms:g} ms")
    return ", ".join(parts)


def speed_grid(title: str, speed: Speed) -> Grid:
    """Rows a second of loops in one process, and of two processes."""
    rows = [
        (name, f"{rate:,.0f}", f"{rate / speed.best_plain:.2f}", "-", "-", "-", "-")
        for name, rate in speed.plain.items()
    ]
    for way in WAYS:
        result = speed.ways[way]
        cpu = result["cpu_a_million_rows"]
        crossed = result["bytes_sent"] + result["bytes_received"]
        near = Way(way.in_flight, way.local_steps, way.codec)
        of_near = "-"
        if way.round_trip_ms:
            of_near = f"{result['rows_a_second'] / speed.ways[near]['rows_a_second']:.2f}"
        rows.append(
            (
                way_name(way),
                f"{result['rows_a_second']:,.0f}",
                f"{speed.share(way):.2f}",
                of_near,
                " + ".join(f"{cpu[party]:.1f}" for party in cpu),
                f"{crossed / result['rows']:.0f}",
                must(way),
            )
        )
    return Grid(
        title,
        ("training", "rows/s", "of torch", "of near", "CPU us a row", "B a row", "must"),
        tuple(rows),
        f"{NETWORK}; {OWN} + {PARTNER} columns, float32. Torch: a plain loop over all columns in "
        "one process, one optimiser; shares are of the faster one. Pooled twin: our trainer in one "
        "process. The others: two processes, mutual TLS on loopback. Of near: of the same without "
        f"delay; with {FAR_MS:g} ms the line carries 1 Gb/s. CPU: label party + feature party. "
        "Bytes at the cut, both ways.",
    )


def must(way: Way) -> str:
    """The target, if there is one."""
    if way not in TARGETS:
        return ""
    what, share = TARGETS[way]
    return f"{share:.2f} of {what}"


def quality_grid(quality: Quality) -> Grid:
    """AUC of each kind of model on each table."""
    rows = []
    for table, runs in quality.items():
        for setting in KINDS:
            mean, error = difference(runs[setting.name], runs["pooled twin"])
            rows.append(
                (
                    f"{table}: {setting.name}",
                    f"{aucs(runs[setting.name]).mean():.4f}",
                    "-" if setting.kind == "pooled" else signed(mean, error),
                )
            )
    return Grid(
        "Test AUC",
        ("model", "AUC", "from the pooled twin"),
        tuple(rows),
        f"{splits(quality)} Must: the split network within .01 of the pooled one; it is equal, "
        "since each split's two models are. SecureBoost: of depth 4, equal to its encrypted form.",
    )


def codec_grid(quality: Quality) -> Grid:
    """Bytes and AUC of each codec."""
    rows = []
    tables = list(quality)
    plain_bytes = bytes_a_row(quality[tables[0]][PLAIN.name])
    for setting in (PLAIN, *CODECS):
        crossed = bytes_a_row(quality[tables[0]][setting.name])
        rows.append(
            (
                "identity" if setting is PLAIN else setting.name,
                f"{crossed:.0f}",
                f"{crossed / plain_bytes:.3f}",
                *(change(quality[table], setting) for table in tables),
            )
        )
    return Grid(
        "Codecs: bytes at the cut and test AUC",
        ("codec", "B a row", "share", *tables),
        tuple(rows),
        f"Bytes of all frames of an exchange, both ways, a training row and epoch; {NETWORK}. "
        f"{splits(quality)} AUC: of identity, then differences from it. Must: int8 a quarter of "
        "the bytes, AUC within .002. Of int8's .260, .250 are its 8 of 32 bits and .010 scales and "
        "zero points (3 bytes of a row there, 2 back); frames hardly count. With int8:4 gradients "
        "have 4 bits.",
    )


def effects_grid(quality: Quality, speed: Speed) -> Grid:
    """AUC and time of pipelines and local steps."""
    rows = []
    for setting in (PLAIN, *FLIGHTS, *STEPS):
        told = dict(setting.parameters)
        near = Way(told.get("in_flight", 1), told.get("local_steps", 1))
        far = Way(near.in_flight, near.local_steps, round_trip_ms=FAR_MS)
        for table, runs in quality.items():
            epochs = sum(run.epochs for run in runs[setting.name]) / len(runs[setting.name])
            n_rows = table_rows(runs)
            rows.append(
                (
                    f"{'one after the other' if setting is PLAIN else setting.name}, {table}",
                    change(runs, setting),
                    f"{epochs:.1f}",
                    *(
                        f"{epochs * n_rows / speed.ways[way]['rows_a_second']:.2f}"
                        for way in (near, far)
                    ),
                )
            )
    return Grid(
        "Batches in flight and local steps",
        ("setting", "AUC", "epochs", "s, loopback", f"s, {FAR_MS:g} ms"),
        tuple(rows),
        f"{splits(quality)} AUC: of the first, then differences from it. Epochs: until the best "
        "weights. Seconds: so many epochs at the rows a second of the first table. Must: 8 in "
        "flight within .002.",
    )


def memory_grid(memory: Mapping[int, dict[str, Any]]) -> Grid:
    """What each process held."""
    few, many = sorted(memory)
    rows = []
    for party, of_many in memory[many]["memory"].items():
        of_few = memory[few]["memory"][party]
        grown = [of["peak_mb"] - of["before_mb"] for of in (of_few, of_many)]
        rows.append(
            (
                "feature party" if party == FEATURE else "label party",
                *(f"{of['peak_mb']:,.0f}" for of in (of_few, of_many)),
                *(f"{mb:,.0f}" for mb in grown),
                f"{1e6 * (grown[1] - grown[0]) / (many - few):.0f}",
            )
        )
    return Grid(
        f"Memory: {few:,} and {many:,} rows",
        (
            "party",
            f"peak MB, {few:,}",
            f"peak MB, {many:,}",
            f"training MB, {few:,}",
            f"training MB, {many:,}",
            "B a row more",
        ),
        tuple(rows),
        "Resident memory of each process; training: its peak above what the process held with its "
        f"table read. A row of {OWN} columns is {4 * OWN} B; what training adds for a row is its "
        "place in the batches' order and in the agreed rows, and ids.",
    )


def plot(quality: Quality, speed: Speed) -> None:
    """AUC against bytes; rows a second."""
    with plots.figure("splitnn", (1, 3), (15, 4.2)) as axes:
        if axes is None:
            return
        for ax, (table, runs) in zip(axes, quality.items(), strict=False):
            codecs_plot(ax, table, runs)
        ways = [way for way in WAYS if way.local_steps == 1 and way.codec == "identity"]
        plain = {f"one process: {name}": rate for name, rate in speed.plain.items()}
        rates = plain | {way_name(way): speed.ways[way]["rows_a_second"] for way in ways}
        colours = [plots.GREY] * len(plain)
        colours += [plots.ORANGE if way.round_trip_ms else plots.BLUE for way in ways]
        thousands = [rate / 1000 for rate in rates.values()]
        plots.bars(axes[2], list(rates), thousands, colours)
        axes[2].set_title("Thousand rows a second")


def codecs_plot(ax: Any, table: str, runs: Mapping[str, Sequence[Trained]]) -> None:
    """AUC of each codec against its bytes."""
    for setting in (PLAIN, *CODECS):
        of_codec = runs[setting.name]
        mean, error = difference(of_codec, runs[PLAIN.name])
        x, y = bytes_a_row(of_codec), aucs(runs[PLAIN.name]).mean() + mean
        colour = plots.ORANGE if "int8" in setting.name else plots.BLUE
        spread = 0.0 if math.isnan(error) else error
        ax.errorbar(x, y, yerr=spread, fmt="o", color=colour, markersize=4, linewidth=1)
        name = "identity" if setting is PLAIN else setting.name
        ax.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
    ax.set_xscale("log")
    ax.set_xlim(18, 800)
    ax.set_xticks([25, 50, 100, 200, 400], labels=["25", "50", "100", "200", "400"])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("bytes at the cut, a row and epoch")
    ax.set_title(f"Test AUC, {table}")


def change(runs: Mapping[str, Sequence[Trained]], setting: Setting) -> str:
    """AUC of the plain network, or how far another is from it."""
    if setting is PLAIN:
        return f"{aucs(runs[PLAIN.name]).mean():.4f}"
    return signed(*difference(runs[setting.name], runs[PLAIN.name]))


def signed(mean: float, error: float) -> str:
    """A difference with its standard error."""
    return f"{mean:+.4f}" if math.isnan(error) else f"{mean:+.4f} ± {error:.4f}"


def bytes_a_row(runs: Sequence[Trained]) -> float:
    """Bytes of a setting, which hardly differ between splits."""
    return sum(run.bytes_a_row for run in runs) / len(runs)


def table_rows(runs: Mapping[str, Sequence[Trained]]) -> int:
    """Rows of an epoch."""
    return runs[PLAIN.name][0].n_rows


def splits(quality: Quality) -> str:
    """How many runs there are."""
    n_splits = len(next(iter(quality.values()))[PLAIN.name])
    return f"Means of {n_splits} random splits; ± is the standard error of the difference."
