"""`penstock` commands one after the other in one process, which starts once for all of them.

Standard input: a JSON array of arrays of arguments. Standard output: for each an exit code and all
that it printed.
"""

from __future__ import annotations

import sys
import traceback

import msgspec
from click.testing import CliRunner, Result

from ops.__main__ import cli


def main() -> None:
    """Run them."""
    commands = msgspec.json.decode(sys.stdin.buffer.read(), type=list[tuple[list[str], str]])
    results = [CliRunner().invoke(cli, words, input=given) for words, given in commands]
    # What no command should meet is told as well.
    told = [(one.exit_code, f"{one.output}{_unforeseen(one)}") for one in results]
    sys.stdout.buffer.write(msgspec.json.encode(told))


def _unforeseen(result: Result) -> str:
    if result.exc_info is None or result.exc_info[0] is SystemExit:
        return ""
    return "".join(traceback.format_exception(*result.exc_info))


if __name__ == "__main__":
    main()
