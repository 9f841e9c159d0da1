"""What can go wrong on purpose: a request refused, a job failed, a container that says no.

::

    StandInError
    ├── ServiceError      AWS refuses the request: a status, a code and a message
    ├── JobError          a training or transform job ends Failed, with this reason
    └── ContainerError    a model's container answers with a status of its own
"""

from typing import Any


class StandInError(Exception):
    """Base of all that the stand-in raises on purpose."""


class ServiceError(StandInError):
    """A request that is refused.

    Parameters
    ----------
    code : str
        AWS's name of the error, such as 'ValidationException'.
    message : str
        Its text.
    status : int, default 400
        Of the HTTP answer.
    **more
        Further members of the answer's body.
    """

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.more = code, message, status, more


class JobError(StandInError):
    """Why a job fails; the text is its FailureReason."""


class ContainerError(StandInError):
    """A status that a model's container answers in place of predictions.

    Parameters
    ----------
    status : int
        Such as 400 for a body that cannot be read, 415 for a content type that is not known.
    message : str, optional
        What it says; the beginning of the request where none is given, as containers quote it.

    Examples
    --------
    >>> ContainerError(415, "text/plain is not supported").status
    415
    """

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message or str(status))
        self.status, self.message = status, message
