"""The `penstock` command. Settings are loaded here and nowhere else."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from ops.errors import OpsError, WrongUsage
from ops.runtime import Runtime
from ops.stack.errors import StackError
from ops.stack.home import discover
from pipeline.settings import FILE, SettingsError, load
from rules import RuleError

if TYPE_CHECKING:
    from collections.abc import Mapping

# A command's module is imported when it is run, so that each starts fast.
COMMANDS: Final = {
    "up": "ops.commands.up:up",
    "ingest": "ops.commands.processes:ingest",
    "worker": "ops.commands.processes:worker",
    "relay": "ops.commands.relay:relay",
    "migrate": "ops.commands.migrate:migrate",
    "declare": "ops.commands.declare:declare",
    "probe": "ops.commands.probe:probe",
    "org": "ops.commands.org:org",
    "secrets": "ops.commands.secrets:secrets",
    "rules": "ops.commands.rules:rules",
    "record": "ops.commands.record:record",
    "enrollments": "ops.commands.enrollments:enrollments",
    "suppress": "ops.commands.suppress:suppress",
    "explain": "ops.commands.explain:explain",
    "flow": "ops.commands.flow:flow",
    "doctor": "ops.commands.doctor:doctor",
    "audit": "ops.commands.audit:audit",
    "dead": "ops.commands.dead:dead",
    "forget": "ops.commands.forget:forget",
    "gaps": "ops.commands.gaps:gaps",
    "replay": "ops.commands.replay:replay",
    "restored": "ops.commands.restored:restored",
    "runs": "ops.commands.runs:runs",
    "actions": "ops.commands.actions:actions",
    "console": "ops.commands.console:console",
}


class Failed(click.ClickException):
    """An error that is told in one sentence. Exit code 1."""

    exit_code = 1


class Refused(Failed):
    """Rules with mistakes, each on a line of its own that starts with file and line."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the mistakes and nothing else, so that an editor can jump to them."""
        click.echo(self.message, file=file, err=True)


class Misused(click.ClickException):
    """A call, or a setting, that makes no sense. Exit code 2."""

    exit_code = 2


class Penstock(click.Group):
    """The commands, in the order in which a newcomer meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        """Run a command, telling what it could not do in words rather than in a traceback."""
        try:
            return super().invoke(ctx)
        except (SettingsError, WrongUsage) as error:
            raise Misused(str(error)) from error
        except RuleError as error:
            raise Refused(str(error)) from error
        except (OpsError, StackError) as error:
            raise Failed(str(error)) from error


def environment() -> Mapping[str, str]:
    """Return this process's environment over what a local stack in this folder offers."""
    offered = discover(Path.cwd()).items()
    return {name: url for name, url in offered if name + FILE not in os.environ} | os.environ


@click.command(cls=Penstock, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="penstock")
@click.pass_context
def cli(context: click.Context) -> None:
    """Carry Salesforce record changes into sequence enrolments, durably and exactly once."""
    # A command says itself what it met, in words; processes set up logs of their own.
    logging.getLogger().addHandler(logging.NullHandler())
    context.obj = Runtime(environment, load)


def main() -> None:
    """Run the command line. What standard output cannot encode is printed escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    cli()


if __name__ == "__main__":
    main()
