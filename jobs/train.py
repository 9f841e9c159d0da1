"""Train: spark-submit jobs/train.py conf/emr.yaml [--set key=value ...]."""

import sys

from spark_sentiment.jobs import runner, train

if __name__ == "__main__":
    sys.exit(runner.run("train", train.main))
