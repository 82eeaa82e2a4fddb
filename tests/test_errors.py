"""Each error has the exit code that the command line promises, and the tree is the one that the module draws."""

from __future__ import annotations

import re

import pytest

from casvault import errors

CODES = {
    "CasvaultError": 1,
    "UsageError": 2,
    "AmbiguousError": 2,
    "NotFound": 1,
    "IncompleteSave": 1,
    "NoSpace": 1,
    "StorageError": 1,
    "Unhealthy": 1,
    "RemoteError": 1,
    "BrokenLink": 1,
    "PartialResult": 3,
    "NoVault": 10,
    "UnsupportedVault": 10,
    "Locked": 11,
    "TrainerRunning": 11,
    "DamageError": 20,
    "MissingObject": 20,
    "BadManifest": 20,
    "RemoteConflict": 21,
    "Cancelled": 130,
}


def test_every_error_is_listed_here() -> None:
    assert set(errors.__all__) == {*CODES, "FormatError"}


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_exit_codes(name: str, code: int) -> None:
    error = getattr(errors, name)("something is wrong.")
    assert error.exit_code == code
    assert isinstance(error, errors.CasvaultError)
    assert str(error) == "something is wrong."


def test_the_docstring_draws_the_codes() -> None:
    drawn = dict(re.findall(r"(\w+) +exit (\d+)", errors.__doc__ or ""))
    assert {name: int(code) for name, code in drawn.items()} == CODES


def test_a_format_error_is_none_of_them() -> None:
    assert not issubclass(errors.FormatError, errors.CasvaultError)


def test_no_error_is_a_value_error() -> None:
    # `except ValueError` around a parser must not swallow what casvault reports.
    assert not any(issubclass(getattr(errors, name), ValueError | OSError) for name in errors.__all__)
