"""What a person at the command line can do something about."""

from __future__ import annotations


class OpsError(Exception):
    """A command could not do what it was asked; the text says why and what to do (exit code 1)."""


class WrongUsage(OpsError):
    """The command was called in a way that makes no sense (exit code 2)."""
