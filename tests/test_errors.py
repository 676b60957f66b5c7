"""`forebay.errors`: one tree of errors, and the fields that callers use."""

import pytest

from forebay.errors import BusyError, ConfigError, DataError, ForebayError, ModelError, NoArchiveError, SourceError


@pytest.mark.parametrize("kind", [ConfigError, NoArchiveError, SourceError, DataError, BusyError, ModelError])
def test_every_error_is_a_forebay_error_with_its_sentence(kind: type[ForebayError]) -> None:
    with pytest.raises(ForebayError, match=r"^level 5 is too high$"):
        raise kind("level 5 is too high")


def test_source_error_is_not_retryable_by_default() -> None:
    error = SourceError("no answer")
    assert (error.retryable, error.retry_after) == (False, None)


def test_source_error_has_the_services_wait() -> None:
    error = SourceError("busy", retryable=True, retry_after=30.0)
    assert (str(error), error.retryable, error.retry_after) == ("busy", True, 30.0)


def test_config_error_is_a_value_error_so_that_validators_pass_it_on() -> None:
    assert issubclass(ConfigError, ValueError)
    assert not issubclass(DataError, ValueError)
