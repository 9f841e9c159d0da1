"""All errors that this library raises on purpose, as a class hierarchy.

::

    SentimentError
    ├── SchemaError        a column is missing, has a wrong type, or already exists
    ├── DataError          the rows cannot be used: empty, one class, a label outside the classes
    ├── CheckpointError    a BERT checkpoint folder lacks a part or fails its checksum
    ├── ConfigError        a configuration file or ``--set`` names an unknown key or a wrong value
    ├── TableError         a Delta table cannot be read or written as asked
    │   └── RunConflictError   a run id was already used with other input
    ├── SageMakerError     SageMaker refused a request, a job failed, or a resource is missing
    ├── SetupError         Java, a jar or a package is missing or of the wrong version
    └── GateError          a bias metric is outside the bounds of a gate in the configuration

Messages name the stage (its uid) or the file, the column or key, what was found, and what to do.
No message holds the text of a review.
"""


class SentimentError(Exception):
    """Base of all errors raised on purpose by this library."""


class SchemaError(SentimentError, ValueError):
    """A stage cannot work on this schema; found before any Spark job runs."""


class DataError(SentimentError, ValueError):
    """The schema fits, but the rows cannot be used as asked."""


class CheckpointError(SentimentError, ValueError):
    """A BERT checkpoint folder is incomplete, damaged or of an unknown kind."""


class ConfigError(SentimentError, ValueError):
    """A configuration key is unknown, missing or of the wrong type."""


class TableError(SentimentError):
    """A Delta table cannot be read or written as asked."""


class RunConflictError(TableError):
    """A run id was used before, with different input."""


class SageMakerError(SentimentError, RuntimeError):
    """SageMaker refused a request, a job failed or took too long, or a resource is missing."""


class SetupError(SentimentError, RuntimeError):
    """Java, a jar or a package that this library needs is missing or has a wrong version."""


class GateError(SentimentError):
    """A bias metric is outside the bounds of a gate in the configuration."""
