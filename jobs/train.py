"""Train: spark-submit jobs/train.py conf/emr.yaml [--set key=value ...]."""

import sys

from spark_sentiment import job, train

if __name__ == "__main__":
    sys.exit(job.run("train", train.main))
