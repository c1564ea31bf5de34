"""Asserting errors by their field and key words, so that wording can change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cornernet.errors import UserError


@contextmanager
def raises(
    *words: str, field: str | None = None, kind: type[UserError] = UserError
) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Expect a `UserError`, as `pytest.raises` does.

    Args:
        words: what its sentence has to contain, in any order and in upper or lower case.
        field: the field that it has to carry; None: it must carry none.
        kind: the class, or one above it.
    """
    with pytest.raises(kind) as caught:
        yield caught
    sentence = str(caught.value)
    assert caught.value.field == field, f"{caught.value.field} instead of {field}: {sentence}"
    missing = [word for word in words if word.lower() not in sentence.lower()]
    assert not missing, f"{missing} not in: {sentence}"
