"""The error that is meant for the person at the keyboard, not for a developer.

A `UserError` is one sentence or more: what is wrong, where, what to do. Where a setting or an
argument is at fault, the error carries its name and the sentence is about it:

    raise UserError("must be at least 1, got 0", field="train.epochs")

reads "train.epochs must be at least 1, got 0" from Python; the command line writes the flag that
sets the field instead, prints no traceback and exits with status 2. It is a `ValueError`, so that
Python code which knows nothing of this package can catch it too.
"""

from __future__ import annotations


class UserError(ValueError):
    """Bad input from outside the program: a file, a directory, a setting, a device.

    Args:
        message: what is wrong, without a command-line flag. With a `field` it goes on after the
            field's name: "must be ..., got ...".
        field: dotted name of the setting or name of the argument at fault, such as
            "train.epochs" or "device"; None where no single one is.
        source: the file in which the field stands; the sentence begins with it. None where the
            field was given by the caller.

    Attributes:
        field: as given.
        source: as given.
        message: as given; `str(error)` is the whole sentence.
    """

    def __init__(
        self, message: str, *, field: str | None = None, source: str | None = None
    ) -> None:
        sentence = message if field is None else f"{field} {message}"
        super().__init__(sentence if source is None else f"{source}: {sentence}")
        self.message = message
        self.field = field
        self.source = source


class OutOfMemory(UserError):
    """The device's or the machine's memory does not suffice for what was asked for."""


class WrongSize(UserError):
    """An exported graph does not take images of this size."""


NAMELESS = (OutOfMemory, WrongSize)
"""Errors about an image in whose sentences its name is missing: the caller adds it."""
