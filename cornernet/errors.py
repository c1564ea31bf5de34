"""The error that is meant for the person at the keyboard, not for a developer.

A `UserError` carries sentences: what was wanted, what was found, what to do. The command line
prints them without a traceback and exits with status 2; it is a `ValueError`, so that Python code
which knows nothing of this package can catch it too.
"""


class UserError(ValueError):
    """Bad input from outside the program: a file, a folder, a setting, a device."""


class OutOfMemory(UserError):
    """The device's or the machine's memory does not suffice for what was asked for."""
