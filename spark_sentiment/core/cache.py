"""The folder of files that are kept between runs, such as converted checkpoints."""

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder of files that are kept between runs; create it if needed.

    It is ``$SPARK_SENTIMENT_CACHE``, or ``$XDG_CACHE_HOME/spark_sentiment``, or
    ``~/.cache/spark_sentiment``. If it is not writable, it is a private folder of this user in the
    temporary folder of the system. You may delete it at any time.

    Examples
    --------
    >>> cache_folder().is_dir()
    True
    """
    named = os.environ.get("SPARK_SENTIMENT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    wanted = Path(named) if named else Path(base) / "spark_sentiment"
    wanted = wanted.expanduser().absolute()
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK | os.X_OK):
            return wanted
        reason = "not writable"
    except OSError as error:
        reason = str(error)
    spare = Path(tempfile.gettempdir(), f"spark_sentiment-{os.getuid()}")
    spare.mkdir(mode=0o700, exist_ok=True)
    status = spare.lstat()
    # The name can be guessed: do not trust a folder that another user could fill.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        spare = Path(tempfile.mkdtemp(prefix="spark_sentiment-"))
    log.warning("cache folder %s cannot be used (%s); using %s", wanted, reason, spare)
    return spare


@contextmanager
def draft_folder(final: Path) -> Iterator[Path]:
    """Yield a new folder to fill; it becomes `final` in one step, or is lost if the body fails.

    Readers see all of `final` or nothing. If two processes do the same work, the first one wins.
    """
    # In the same folder as `final`, so on the same disk: a rename there is one step.
    draft = Path(tempfile.mkdtemp(prefix=f".{final.name[:16]}-", dir=final.parent))
    try:
        yield draft
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
