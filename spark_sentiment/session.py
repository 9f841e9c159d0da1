"""The one place that builds a SparkSession when none is there."""

import re
import shutil
import subprocess
from pathlib import Path

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

from spark_sentiment.errors import SetupError

JAVA = (8, 11, 17)  # what Spark 3.5 runs on
"""Major versions of Java that Spark 3.5 supports."""


def check_java(java: str | None = None) -> int:
    """Return Java's major version, or raise SetupError in one line where it will not do.

    Parameters
    ----------
    java : str, optional
        Path of the ``java`` program; by default what JAVA_HOME or PATH gives.

    Examples
    --------
    >>> check_java() in JAVA
    True
    """
    import os

    home = os.environ.get("JAVA_HOME")
    program = java or (str(Path(home, "bin", "java")) if home else shutil.which("java"))
    advice = "install OpenJDK 17 and set JAVA_HOME to it"
    if program is None or not Path(program).exists():
        where = f"JAVA_HOME is {home}" if home else "no 'java' on PATH"
        raise SetupError(f"Java is missing ({where}): {advice}")
    try:
        said = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=60, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{program} -version failed ({error}): {advice}") from error
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    major = int(match.group(1)) if match else 0
    if major not in JAVA:
        found = f"Java {major}" if match else "an unknown Java"
        raise SetupError(f"{program} is {found}; Spark 3.5 runs on 8, 11 or 17: {advice}")
    return major


def session(
    app: str,
    master: str | None = None,
    conf: dict[str, str] | None = None,
    packages: list[str] | None = None,
) -> SparkSession:
    """Return the active session, or build a local one with Delta where there is none.

    On EMR ``spark-submit`` has already chosen master and jars; nothing of it is touched. On a
    laptop this starts ``local[*]`` with Delta's jar, fetched once by Spark from Maven Central.

    Parameters
    ----------
    app : str
        Name shown in Spark's UI and history.
    master : str, optional
        Spark master of a new local session, ``local[*]`` by default.
    conf : dict of str to str, optional
        Spark settings of a new local session; they beat the defaults given here.
    packages : list of str, optional
        Maven coordinates to add beside Delta's.

    Returns
    -------
    SparkSession
        With Delta's extension and catalog.

    Raises
    ------
    SetupError
        Where Java is missing or of a version that Spark 3.5 does not run on.

    Examples
    --------
    >>> session("notebook").version.startswith("3.5")
    True
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if shutil.which("spark-submit") is None or "PYSPARK_GATEWAY_PORT" not in _environment():
        check_java()
    builder = SparkSession.builder.appName(app)
    if "PYSPARK_GATEWAY_PORT" in _environment():  # launched by spark-submit: it chose all of this
        return builder.getOrCreate()
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.memory": "6g",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.showConsoleProgress": "false",
        "spark.ui.enabled": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.driver.host": "127.0.0.1",
        **(conf or {}),
    }
    builder = builder.master(master or "local[*]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    built: SparkSession = configure_spark_with_delta_pip(builder, packages or []).getOrCreate()
    return built


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)
