"""What a command consists of, and the parser of its arguments.

A command line is a command, its own arguments, and settings of the configuration as
`--section.key value`. An argument that only stands for a setting has the setting's dotted name as
its `dest`: `--scales` of `evaluate` stores in `test.scales`. So its value becomes a setting, and an
error about the setting names the flag, without a word about it anywhere else.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cornernet.config import nearest, settings
from cornernet.errors import UserError


@dataclass(frozen=True)
class Command:
    """One command of the program.

    Attributes:
        name: what is typed.
        summary: one sentence for the help.
        add_arguments: adds the command's own arguments to its parser.
        run: does the work, from the parsed arguments and the words that change settings; returns
            the exit status, None for 0. None for a command that only holds commands.
        takes_settings: whether `--section.key value` acts.
        epilog: a last sentence for the help.
        more_help: makes text to go below the help.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Sequence[str]], int | None] | None
    takes_settings: bool = False
    epilog: str | None = None
    more_help: Callable[[], str] | None = None


class CommandParser(argparse.ArgumentParser):
    """The parser of one command's own arguments; it knows how each is written.

    A flag that the command does not have is reported before one that is missing, since it is
    usually the missing one, misspelt.
    """

    def __init__(self, *, command: Command | None = None, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)
        self.command = command
        if command is not None:
            self.set_defaults(run=command.run, parser=self)
            command.add_arguments(self)

    @property
    def takes_settings(self) -> bool:
        """Whether `--section.key value` acts here."""
        return self.command is not None and self.command.takes_settings

    def format_help(self) -> str:
        more = self.command.more_help if self.command is not None else None
        return super().format_help() + (more() if more is not None else "")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        if args is not None and self._subparsers is None:
            self._refuse_unknown_flags(args)
        return super().parse_known_args(args, namespace)

    def _refuse_unknown_flags(self, words: Sequence[str]) -> None:
        for word in words:
            flag = word.partition("=")[0]
            if word == "--":
                return
            if flag.startswith("--") and flag not in self._option_string_actions:
                near = difflib.get_close_matches(flag, self._option_string_actions, 1, 0.75)
                if not near and self.takes_settings:
                    near = [f"--{name}" for name in nearest(flag[2:]) if "." in name]
                advice = f"did you mean {' or '.join(near)}?" if near else f"see {self.prog} --help"
                raise UserError(f"unknown argument {flag}; {advice}")

    def sentence(self, error: UserError) -> str:
        """An error as the command line says it: fields and settings are written as flags.

        An error about something in a file stays as it is.
        """
        if error.source is not None:
            return str(error)
        message = self.with_flags(error.message)
        return message if error.field is None else f"{self._flag(error.field)} {message}"

    def with_flags(self, text: str) -> str:
        """A text in which the settings that act here, and arguments, are written as flags.

        Arguments of one word stay as they are: they may be ordinary words.
        """
        names = [action.dest for action in self._actions if "_" in action.dest]
        names += settings() if self.takes_settings else []
        if not names:
            return text
        # Not inside a longer name or a path, nor where it has dashes already.
        pattern = rf"(?<![\w./-])(?:{'|'.join(map(re.escape, names))})(?![\w/-]|\.\w)"
        return re.sub(pattern, lambda match: self._flag(match[0]), text)

    def _flag(self, name: str) -> str:
        """How an argument or a setting is written here; the name itself where it is neither."""
        for action in self._actions:
            if action.dest == name:
                return action.option_strings[-1] if action.option_strings else str(action.metavar)
        return f"--{name}" if "." in name and self.takes_settings else name


def settings_from(arguments: argparse.Namespace) -> list[str]:
    """The values of arguments that stand for settings, as words that change these."""
    values = vars(arguments).items()
    return [f"--{name}={value}" for name, value in values if "." in name and value is not None]
