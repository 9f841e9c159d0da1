"""Tables: Delta tables with declared schemas, runs, and embeddings that are kept.

`Tables` creates, reads, appends once and merges; ``schemas`` declares the columns and constraints.
`Run` records the tables, settings and code of a run. Embeddings are stored by text and model, so
that no text is embedded twice.
"""

from spark_sentiment.tables.delta import RETENTION, Tables, Written, digest
from spark_sentiment.tables.errors import table_errors
from spark_sentiment.tables.kept_embeddings import embedded, text_hash
from spark_sentiment.tables.runs import Run, code_digest, fingerprint, finished_runs, last_rows

__all__ = [
    "RETENTION",
    "Run",
    "Tables",
    "Written",
    "code_digest",
    "digest",
    "embedded",
    "fingerprint",
    "finished_runs",
    "last_rows",
    "table_errors",
    "text_hash",
]
