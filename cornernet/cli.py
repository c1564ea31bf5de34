"""The command line: finds the command, runs it, and turns errors into exit statuses.

The status is 0 for success, 1 where a command finds that something does not pass, 2 with one
sentence for bad input, 75 where a signal has stopped a training and its state is saved, 130 after
an interruption.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence

from cornernet.commands import COMMANDS
from cornernet.commands.parser import CommandParser, settings_from
from cornernet.config import split_settings
from cornernet.errors import UserError
from cornernet.runtime.text import say
from cornernet.runtime.threads import set_wait_policy


def build_parser() -> CommandParser:
    """Return the parser of all commands, without the settings that some of them take."""
    parser = CommandParser(
        prog="cornernet",
        description="CornerNet: objects as pairs of corners. Train, evaluate, predict.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    for one in COMMANDS:
        commands.add_parser(
            one.name, help=one.summary, description=one.summary, epilog=one.epilog, command=one
        )
    return parser


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read a command line.

    Returns:
        The command's arguments, among them `run` and `parser`, and the words that change settings.

    Raises:
        UserError: words that the command has no use for. What is missing ends the program.
    """
    settings, others = split_settings(words)
    arguments, unknown = build_parser().parse_known_args(others)
    parser: CommandParser = arguments.parser
    if settings and not parser.takes_settings:
        unknown += settings
    if unknown:
        advice = "put lists in quotes, like '[1, 2]', or " if parser.takes_settings else ""
        words = " ".join(unknown)
        raise UserError(f"unknown arguments: {words}; {advice}see {parser.prog} --help")
    return arguments, [*settings, *settings_from(arguments)]


def main(words: Sequence[str] | None = None) -> None:
    """Run a command; a status other than 0 ends the program."""
    set_wait_policy()  # before any command imports torch
    words = sys.argv[1:] if words is None else words
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may hold what the terminal cannot show, or bytes that are no text at all.
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = CommandParser()  # of no command yet

    def show_warning(message: Warning | str, *_: object, **__: object) -> None:
        say(f"warning: {parser.with_flags(str(message))}", error=True)

    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        try:
            try:
                arguments, settings = parse(words)
                parser = arguments.parser
                status = arguments.run(arguments, settings)
            finally:
                sys.stdout.flush()  # here and not at exit, where a closed pipe cannot be caught
        except BrokenPipeError:  # the reader of our output, like `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (UserError, KeyboardInterrupt, MemoryError, RuntimeError, OSError) as error:
            text = _explain(error, parser)
            if text is None:
                raise
            say(f"cornernet {words[0]}: {text}", error=True)
            status = 130 if isinstance(error, KeyboardInterrupt) else 2
    if status:
        sys.exit(status)


def _explain(error: BaseException, parser: CommandParser) -> str | None:
    """What to tell of an error; None where it is a defect, whose traceback is worth more."""
    if isinstance(error, UserError):
        return parser.sentence(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):  # a full disk, a directory that may not be written, …
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    from cornernet.runtime.memory import is_out_of_memory

    if not is_out_of_memory(error):
        return None
    reason = str(error).partition("\n")[0]
    advice = "lower test.batch_size, data.long_side or test.scales"
    return f"out of memory ({reason}); {parser.with_flags(advice)}"
