"""Measure bias: spark-submit jobs/bias.py conf/emr.yaml [--set key=value ...]."""

import sys

from spark_sentiment.jobs import bias, runner

if __name__ == "__main__":
    sys.exit(runner.run("bias", bias.main))
