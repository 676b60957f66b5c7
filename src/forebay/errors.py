"""The errors that forebay raises, one tree.

::

    ForebayError
    ├── ConfigError   a dam file, a setting or an argument is wrong: mend the input
    │   └── NoArchiveError   the archive that is to be read is not there yet
    ├── SourceError   a gauge service or file did not give what was asked (retryable, retry_after)
    ├── DataError     what was observed does not suffice for what was asked
    └── ModelError    a model cannot be fitted, saved, loaded or used

Every message is one sentence or two: what was wrong (with the value), what is allowed, what to do.
"""


class ForebayError(Exception):
    """Any error that forebay raises on purpose; its text is meant for the person at the keyboard."""


class ConfigError(ForebayError, ValueError):
    """A dam file, a setting or an argument is wrong (a `ValueError` too, so that validators pass it on)."""


class NoArchiveError(ConfigError):
    """The archive that is to be read is not there yet."""


class SourceError(ForebayError):
    """A gauge service or file did not give what was asked.

    Parameters
    ----------
    message
        What was asked, what came back, what to do.
    retryable
        Whether the same request may succeed later.
    retry_after
        Seconds that the service asked to wait, if it did.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class DataError(ForebayError):
    """What was observed does not suffice for what was asked."""


class ModelError(ForebayError):
    """A model cannot be fitted, saved, loaded or used."""
