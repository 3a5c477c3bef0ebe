"""``secureboost doctor``: can this machine run SecureBoost, and how fast?"""

from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from secureboost.cli.checks import Check
    from secureboost.planning import Rates


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

    checks, rates = _run_all()
    failed = sum(check.status is Status.FAIL for check in checks)
    warned = sum(check.status is Status.WARN for check in checks)
    if json:
        print_json({"ok": not failed, "checks": checks, "rates": rates})
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


def _run_all() -> "tuple[list[Check], Rates | None]":
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
    results.append(c.guarded("alignment group", c.alignment_group))
    from secureboost.cli.selftest import measure

    rates = measure()
    return [*results, *_speed(rates)], rates


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


def _speed(rates: "Rates") -> "list[Check]":
    from secureboost.cli import selftest
    from secureboost.cli.checks import Check, Status
    from secureboost.units import format_seconds

    label, feature = selftest.tree_seconds(rates)
    tree = selftest.TREE
    return [
        Check(
            f"speed, {selftest.KEY_BITS} bits",
            Status.OK,
            f"{selftest.SCHEME}: encrypt {1e6 * rates.encrypt.cpu:,.0f} us, decrypt "
            f"{1e3 * rates.decrypt.each.cpu:.1f} ms, add {1e6 * rates.addition.cpu:.1f} us, "
            f"re-randomise {1e3 * rates.rerandomise.each.cpu:.1f} ms a number, on one core",
        ),
        Check(
            "cost of a tree",
            Status.OK,
            f"over {tree.rows:,} rows (depth {tree.depth}, {len(tree.partner_bins[0])} partner "
            f"columns, {tree.bins} bins) about {format_seconds(label)} of one core for the label "
            f"party and {format_seconds(feature)} for the feature party; `secureboost plan` works "
            "out whole trainings",
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
