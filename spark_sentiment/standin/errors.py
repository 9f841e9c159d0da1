"""Errors that the stand-in raises on purpose.

::

    StandInError
    ├── ServiceError      AWS refuses the request: a status, a code and a message
    ├── JobError          a training or transform job ends Failed, with this reason
    └── ContainerError    a model's container answers with an error status
"""

from typing import Any


class StandInError(Exception):
    """Base of all errors that the stand-in raises on purpose."""


class ServiceError(StandInError):
    """A request that is refused.

    Parameters
    ----------
    code : str
        Code of the error in AWS, such as 'ValidationException'.
    message : str
        Text of the error.
    status : int, default 400
        Status of the HTTP answer.
    **more
        Further members of the body of the answer.
    """

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.more = code, message, status, more


class JobError(StandInError):
    """Failure of a job; the text is its FailureReason."""


class ContainerError(StandInError):
    """Error status that a model's container returns instead of predictions.

    Parameters
    ----------
    status : int
        HTTP status, such as 400 for an unreadable body, or 415 for an unknown content type.
    message : str, optional
        Text of the error; by default the beginning of the request, because containers quote it.

    Examples
    --------
    >>> ContainerError(415, "text/plain is not supported").status
    415
    """

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message or str(status))
        self.status, self.message = status, message
