"""Measure bias: spark-submit jobs/bias.py conf/emr.yaml [--set key=value ...]."""

import sys

from spark_sentiment import job, measure

if __name__ == "__main__":
    sys.exit(job.run("bias", measure.main))
