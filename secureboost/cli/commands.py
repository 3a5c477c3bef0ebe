"""Registers every command with the application; a new command is a module and a name here."""

from secureboost.cli import (  # noqa: F401 - importing registers
    align,
    audit,
    cert,
    cv,
    demo,
    doctor,
    evaluate,
    export,
    keygen,
    messages,
    model,
    plan,
    predict,
    release,
    runs,
    score,
    serve,
    simulate,
    train,
    tune,
)
