"""The errors that forebay raises, one tree.

::

    ForebayError
    ├── ConfigError   a dam file, a setting or an argument is wrong: correct the input
    │   ├── NoArchiveError   the archive to read does not exist yet
    │   └── ReadOnlyError   the archive cannot be written
    ├── SourceError   a service or file did not deliver the requested data (retryable, retry_after)
    ├── DataError     the observations do not suffice for the request
    ├── BusyError     another process writes to the archive: try again later
    └── ModelError    a model cannot be fitted, saved, loaded or used

Every message is one sentence or two: the wrong value, what is allowed, what to do.
"""


class ForebayError(Exception):
    """Any error that forebay raises on purpose; its text addresses the user."""

    dam = ""
    """Id of the dam, if its job has set it: for the log."""


class ConfigError(ForebayError, ValueError):
    """A dam file, a setting or an argument is wrong (a `ValueError` too, so that pydantic reports it)."""


class NoArchiveError(ConfigError):
    """The archive to read does not exist yet."""


class ReadOnlyError(ConfigError):
    """The archive, or its folder, can be read only."""


class SourceError(ForebayError):
    """A service or file did not deliver the requested data.

    Parameters
    ----------
    message
        The request, the answer, what to do.
    retryable
        Whether the same request may succeed later.
    retry_after
        Seconds to wait, if the service gives them.
    """

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class MissingRunError(SourceError):
    """The service does not have the requested run of a weather model."""


class DataError(ForebayError):
    """The observations do not suffice for the request."""


class BusyError(ForebayError):
    """Another process writes to the archive, and did not end while this one waited."""


class ModelError(ForebayError):
    """A model cannot be fitted, saved, loaded or used."""
