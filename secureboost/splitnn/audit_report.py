"""The report of an audit: one HTML file with a table and a chart of what attacks reach."""

from collections.abc import Sequence
from pathlib import Path

from secureboost.charts import DotChart, dot_chart
from secureboost.files import write_atomically
from secureboost.pages import render_page
from secureboost.splitnn.attacks import ATTACKS, DESCRIPTIONS
from secureboost.splitnn.audit import Audit, Trial

_LABEL_ATTACKS, _COLUMN_ATTACK = ATTACKS[:-1], ATTACKS[-1]


def audit_table(found: Audit) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Heads and rows of a table, a row for each protection and party.

    What attacks reach stands beside what the same side reaches from its own columns alone.
    """
    several = len(found.parties) > 1
    heads = (
        "protection",
        *(("party",) if several else ()),
        f"network's {found.measure}",
        "labels at most",
        *_LABEL_ATTACKS,
        "own columns",
        _COLUMN_ATTACK,
        "own columns",
        "lowers",
    )
    rows = []
    for trial in found.trials:
        for party, findings in trial.findings.items():
            *of_labels, of_columns = findings
            rows.append(
                (
                    trial.name,
                    *((party,) if several else ()),
                    trial.quality,
                    found.of_labels(trial, party),
                    *(finding.value for finding in of_labels),
                    of_labels[0].baseline,
                    of_columns.value,
                    of_columns.baseline,
                    ", ".join(found.lowered(trial)) or "-",
                )
            )
    return heads, rows


def render_audit(found: Audit, title: str, facts: Sequence[tuple[str, str]] = ()) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    found : Audit
    title : str
    facts : sequence of (str, str)
        Settings and circumstances, shown beside those of the audit itself.
    """
    heads, rows = audit_table(found)
    return render_page(
        "audit.html",
        title=title,
        facts=[*facts, *audit_facts(found)],
        heads=heads,
        rows=rows,
        verdict=verdict(found),
        charts=_charts(found),
        attacks=list(DESCRIPTIONS.items()),
    )


def write_audit(
    found: Audit, path: str | Path, title: str, facts: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the report; see `render_audit`."""
    html = render_audit(found, title, facts)
    write_atomically(Path(path), html.encode(), mode=0o600)


def audit_facts(found: Audit) -> list[tuple[str, str]]:
    """How the attacks were measured."""
    return [
        ("training rows", f"{found.n_training:,}"),
        ("held-out rows", f"{found.n_test:,}"),
        ("labels known to a feature party", f"{found.known_labels:,}"),
        ("rows known to the label party", f"{found.known_rows:,}"),
    ]


def verdict(found: Audit) -> str:
    """Which protections lower something here, and which do not."""
    tried = found.trials[1:]
    useless = [trial.name for trial in tried if not found.lowered(trial)]
    if not tried:
        return "No protection was tried."
    if not useless:
        return "Every protection lowers an attack here by at least 30 %."
    return (
        f"No attack is lowered by 30 % or more by: {', '.join(useless)}. Do not count on "
        f"{'it' if len(useless) == 1 else 'them'} here."
    )


def _charts(found: Audit) -> list[DotChart]:
    """The network's quality, and for each party attacks on labels and on columns."""
    names = [trial.name for trial in found.trials]
    qualities = [trial.quality for trial in found.trials]
    low, high = min(qualities), max(qualities)
    margin = max(0.01, 0.1 * (high - low))
    charts = []
    for party in found.parties:
        whose = f": {party}" if len(found.parties) > 1 else ""
        plain = found.trials[0].findings[party]
        charts += [
            dot_chart(
                f"What is learnt of labels{whose}",
                "AUC of the attack",
                names,
                [(attack, _values(found.trials, party, attack)) for attack in _LABEL_ATTACKS],
                x_range=(0.5, 1.0),
                guide=plain[0].baseline,
                note="Dotted: what the party reaches from its own columns and the labels it knows.",
            ),
            dot_chart(
                f"What is learnt of columns{whose}",
                "R2 of the attack",
                names,
                [(_COLUMN_ATTACK, _values(found.trials, party, _COLUMN_ATTACK))],
                x_range=(0.0, 1.0),
                guide=plain[-1].baseline,
                note="Dotted: what the label party reaches from its own columns.",
            ),
        ]
    cost = dot_chart(
        "What it costs",
        f"{found.measure} of the network over held-out rows",
        names,
        [("network", qualities)],
        x_range=(low - margin, high + margin),
        guide=qualities[0],
        note="Dotted: without protection.",
    )
    return [*charts, cost]


def _values(trials: Sequence[Trial], party: str, attack: str) -> list[float]:
    return [
        finding.value
        for trial in trials
        for finding in trial.findings[party]
        if finding.attack == attack
    ]
