"""Where fetched and converted checkpoints are kept between runs, and how one gets there whole."""

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
    """Return the folder that holds converted and fetched checkpoints, made where it was not there.

    It is ``$SPARK_SENTIMENT_CACHE``, else ``$XDG_CACHE_HOME/spark_sentiment``, else
    ``~/.cache/spark_sentiment``; where that cannot be written, a folder of this user alone under
    the system's temporary folder. It may be deleted at any time.

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
    # Its name can be guessed: a folder that somebody else could fill must not be trusted.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        spare = Path(tempfile.mkdtemp(prefix="spark_sentiment-"))
    log.warning("cache folder %s cannot be used (%s); using %s", wanted, reason, spare)
    return spare


@contextmanager
def drafted(final: Path) -> Iterator[Path]:
    """Give a fresh folder to fill; it becomes `final` in one step, or nothing if the body fails.

    Readers see all of `final` or none of it, and of two processes that do the same work the first
    wins.
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
