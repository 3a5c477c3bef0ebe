"""Registers every command with the application; a new command is a module and a name here."""

from secureboost.cli import (  # noqa: F401 - importing registers
    cert,
    demo,
    doctor,
    evaluate,
    keygen,
    messages,
    plan,
    predict,
    serve,
    simulate,
    train,
)
