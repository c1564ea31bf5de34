"""What asserts errors is asserted itself: it accepts one error and no other."""

from __future__ import annotations

import pytest

from cornernet.errors import OutOfMemory, UserError
from tests.errors import raises

ERROR = UserError("must be at least 1, got 0", field="train.epochs")


def test_error_of_the_field_with_the_words_is_accepted() -> None:
    with raises("At Least", "0", field="train.epochs") as caught:
        raise ERROR
    assert caught.value is ERROR
    with raises("full", kind=OutOfMemory):
        raise OutOfMemory("the memory is full")


def test_another_field_is_not_accepted() -> None:
    for field in ("epochs", None):
        with pytest.raises(AssertionError, match="train.epochs instead of"), raises(field=field):
            raise ERROR


def test_missing_word_is_not_accepted() -> None:
    expected = raises("at least", "2", field="train.epochs")
    with pytest.raises(AssertionError, match=r"\['2'\] not in: train.epochs must"), expected:
        raise ERROR


def test_another_kind_of_error_is_not_accepted() -> None:
    with pytest.raises(UserError), raises(field="train.epochs", kind=OutOfMemory):
        raise ERROR
    with pytest.raises(ValueError), raises():
        raise ValueError("not for the user")


def test_no_error_is_not_accepted() -> None:
    with pytest.raises(pytest.fail.Exception), raises():
        pass
