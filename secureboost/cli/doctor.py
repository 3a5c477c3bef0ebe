"""``secureboost doctor``: can this machine run SecureBoost, and how fast?"""

from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from secureboost.cli.checks import Check
    from secureboost.cli.selftest import Timings


@command
def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check this installation, then time the encryption on this machine.

    Takes a few seconds and changes nothing. Ends with 0 if nothing fails (warnings are allowed),
    otherwise with 1.
    """
    from secureboost.cli.checks import Status
    from secureboost.cli.console import stderr
    from secureboost.cli.layout import print_json
    from secureboost.errors import ExitCode

    checks, timings = _run_all()
    failed = sum(check.status is Status.FAIL for check in checks)
    warned = sum(check.status is Status.WARN for check in checks)
    if json:
        print_json({"ok": not failed, "checks": checks, "timings": timings})
    else:
        _print(checks)
    if failed:
        stderr().print(f"{failed} of {len(checks)} checks failed.", style="bold red")
        raise typer.Exit(int(ExitCode.INTERNAL))
    stderr().print(
        f"Nothing fails; {warned} of {len(checks)} checks warn."
        if warned
        else f"All {len(checks)} checks are well.",
        style="yellow" if warned else "green",
    )


def _run_all() -> "tuple[list[Check], Timings | None]":
    from secureboost.cli import checks as c

    packages = c.guarded("own packages", c.own_packages)
    results = [
        c.guarded("Python", c.python_version),
        packages,
        *c.dependencies(),
        *c.extras(),
        c.guarded("processor", c.processor),
        c.guarded("cores", c.cores),
        c.guarded("compiled kernels", c.numba_cache),
        c.guarded("random numbers", c.entropy),
        c.guarded("clock", c.clock),
    ]
    if packages.status is c.Status.FAIL:  # the rest needs our own crypto
        return results, None
    for name, check in (("compute engine", c.compute_engine), ("self-test", _self_test)):
        results.append(c.guarded(name, check))
        if results[-1].status is c.Status.FAIL:
            return results, None
    from secureboost.cli.selftest import measure

    timings = measure()
    return [*results, *_speed(timings)], timings


def _self_test() -> "Check":
    from secureboost.cli.checks import Check, Status
    from secureboost.cli.selftest import sums_agree

    if sums_agree():
        return Check("self-test", Status.OK, "encrypt, add, re-randomise, decrypt: sums agree")
    return Check(
        "self-test",
        Status.FAIL,
        "decrypted sums are wrong: do not train on this machine",
        "Please report this with your processor; another engine may work (SECUREBOOST_ENGINE).",
    )


def _speed(timings: "Timings") -> "list[Check]":
    from secureboost.cli import selftest
    from secureboost.cli.checks import Check, Status
    from secureboost.units import format_seconds

    label, feature = timings.tree_seconds()
    return [
        Check(
            f"speed, {selftest.KEY_BITS} bits",
            Status.OK,
            f"encrypt {timings.encrypt_us:,.0f} us, decrypt {timings.decrypt_ms:.1f} ms, add "
            f"{timings.add_us:.1f} us, re-randomise {timings.rerandomise_ms:.1f} ms a number, on "
            "one core",
        ),
        Check(
            "cost of a tree",
            Status.OK,
            f"over {selftest.TREE_ROWS:,} rows (depth {selftest.TREE_DEPTH}, "
            f"{selftest.TREE_COLUMNS} partner columns, {selftest.TREE_BINS} bins) about "
            f"{format_seconds(label)} of one core for the label party and "
            f"{format_seconds(feature)} for the feature party",
        ),
    ]


def _print(checks: "list[Check]") -> None:
    from rich.text import Text

    from secureboost.cli.console import stdout
    from secureboost.cli.layout import print_hanging

    console = stdout()
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    longest = max(len(check.name) for check in checks)
    for check in checks:
        head = Text.assemble(
            (f"{check.status:<4}  ", styles[check.status]), f"{check.name:<{longest}}  "
        )
        remedy = f"\n-> {check.remedy}" if check.remedy else ""
        print_hanging(console, head, check.found + remedy)
