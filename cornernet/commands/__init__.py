"""The commands of the program, one a module: its arguments and its call."""

from cornernet.commands import (
    check,
    check_losses,
    compare,
    convert,
    data,
    env,
    evaluate,
    export,
    modelzoo,
    predict,
    report,
    train,
)
from cornernet.commands.parser import Command

# In the order of `cornernet --help`.
COMMANDS: tuple[Command, ...] = (
    train.COMMAND,
    check.COMMAND,
    check_losses.COMMAND,
    modelzoo.COMMAND,
    evaluate.COMMAND,
    report.COMMAND,
    compare.COMMAND,
    predict.COMMAND,
    convert.COMMAND,
    export.COMMAND,
    data.COMMAND,
    env.COMMAND,
)
