"""``secureboost align``: find the common rows, on either side, without training anything."""

from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command


@command
def align(
    config: Annotated[
        Path, typer.Argument(help="TOML file of `secureboost train` or of `secureboost serve`.")
    ],
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files. Default: align.file of CONFIG, or `alignment` beside it."
        ),
    ] = None,
    size_only: Annotated[
        bool, typer.Option("--size-only", help="Find out how many rows are common, and no more.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the alignment that was interrupted.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an alignment that is there.")
    ] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Of a feature party's signing key, if CONFIG names one.")
    ] = None,
    tag_set: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Sign all of a feature party's ids now, and write what the label party may be "
            "given ahead for method rsa; end.",
        ),
    ] = None,
    show_rules: Annotated[
        bool, typer.Option("--show-rules", help="Show on made-up values what your rules do; end.")
    ] = False,
) -> None:
    """Find the rows that you and other companies have in common, without showing the others.

    With the label party's file: asks all of its feature parties, and writes which rows are common.
    With a feature party's file: answers one alignment, keeps it in the store and ends; `secureboost
    serve` answers alignments too. Settings `align.*` say how ids are read and who learns what.
    """
    from secureboost.config import FEATURE_PARTY, side_of
    from secureboost.errors import ConfigError

    side = side_of(config, settings)
    options = {
        "--out": out is not None,
        "--size-only": size_only,
        "--resume": resume,
        "--force": force,
    }
    if show_rules:
        from secureboost.cli.align_label import print_rules

        print_rules(config, settings, side)
    elif side == FEATURE_PARTY:
        from secureboost.cli.align_feature import answer_one, sign_ahead

        given = [name for name, is_given in options.items() if is_given]
        if given:
            raise ConfigError(f"is for the label party; {config} is a feature party's", given[0])
        if tag_set is not None:
            sign_ahead(config, settings, passphrase_file, tag_set)
        else:
            answer_one(config, settings, passphrase_file)
    else:
        from secureboost.cli.align_label import ask_all

        if tag_set is not None:
            raise ConfigError(f"is for a feature party; {config} is a label party's", "--tag-set")
        ask_all(config, settings, out, size_only=size_only, resume=resume, force=force)
