"""Archive Spark's Java classes, so that later sessions start with less work.

A short job loads some 25,000 classes. Finding, verifying and laying them out takes a third of its
processor time. Java can map them from an archive instead (class data sharing, JEP 310). A session
without an archive lists the classes that it loads. At the end of a job, `make` starts a process
that archives these classes. Later sessions with the same Java and the same jars use the archive.

Archives are in ``classes`` in `cache_folder`, about 230 MB each. You may delete them at any time.
An archive that no session used for a month is deleted.
"""

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pyspark.sql import SparkSession

from spark_sentiment.core import jvm
from spark_sentiment.core.cache import cache_folder

KEPT_DAYS = {".jsa": 30, ".list": 1}
"""Days after which an archive that no session used, or a list of classes, is deleted."""

# If Java cannot use an archive, it prints no warning and loads the classes from the jars.
_SILENT = "-Xlog:cds=off -Xlog:cds+dynamic=off -Xlog:class+path=off"
_LISTED = re.compile(r'-XX:DumpLoadedClassList="?([^"]+)"')
# The archive gets its final name when it is complete. If Java cannot make one (for example because
# a folder is on the class path), an empty file takes its place, so that no later job tries again.
_MAKE = """
java=$1 classes=$2 archive=$3 path=$4
if nice "$java" -Xshare:dump -Xlog:disable -XX:SharedClassListFile="$classes" \
    -XX:SharedArchiveFile="$archive.$$" -cp "$path"
then mv -f "$archive.$$" "$archive"
else rm -f "$archive.$$"; : > "$archive"
fi
rm -f "$classes"
"""


def java_options(java: str, class_path: Sequence[Path]) -> str:
    """Return the options with which Java uses the archive, or lists classes for a new archive.

    Parameters
    ----------
    java : str
        Identification of the Java: its program and version.
    class_path : sequence of Path
        The jars on the class path of Java.

    Returns
    -------
    str
        '' if the folder of the archives is not writable, or Java cannot make an archive.
    """
    try:
        place = cache_folder() / "classes"
        place.mkdir(exist_ok=True, mode=0o700)
        archive = place / f"{_key(java, class_path)}.jsa"
        if not archive.exists():
            return f'-XX:DumpLoadedClassList="{archive.with_suffix("")}-{os.getpid()}.list"'
        os.utime(archive)
        return f'-XX:SharedArchiveFile="{archive}" {_SILENT}' if archive.stat().st_size else ""
    except OSError:
        return ""


def make(spark: SparkSession) -> subprocess.Popen[bytes] | None:
    """Start a process that archives the classes that `spark` has loaded so far.

    The process runs for about 20 seconds at low priority, also after this process ends.

    Returns
    -------
    Popen or None
        None if the session already uses an archive, or lists no classes.
    """
    options = spark.conf.get("spark.driver.extraJavaOptions", "") or ""
    listed = _LISTED.search(options)
    if listed is None or not (classes := Path(listed[1])).exists():
        return None
    delete_unused(classes.parent)
    archive = classes.with_name(f"{classes.name.rpartition('-')[0]}.jsa")
    program = Path(jvm.java_property(spark, "java.home"), "bin", "java")
    return start_making(str(program), classes, archive, jvm.java_property(spark, "java.class.path"))


def start_making(
    program: str, classes: Path, archive: Path, class_path: str
) -> subprocess.Popen[bytes]:
    """Start a process that archives the listed `classes` with the Java at `program`."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _MAKE, "make-archive", program, classes, archive, class_path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _key(java: str, class_path: Sequence[Path]) -> str:
    """Return a name of an archive, made of the Java and of the jars with their size and time."""
    found = [java]
    for jar in class_path:
        state = jar.stat()
        found.append(f"{jar} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:32]


def delete_unused(place: Path) -> None:
    """Delete files that no session used for `KEPT_DAYS`; an incomplete archive counts as a list."""
    now = time.time()
    for file in place.iterdir():
        days = KEPT_DAYS.get(file.suffix, KEPT_DAYS[".list"])
        with suppress(FileNotFoundError):  # another process may delete the same file
            if file.stat().st_mtime < now - days * 86_400:
                file.unlink()
