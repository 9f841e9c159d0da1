"""Train: spark-submit jobs/train.py conf/emr.yaml [--set key=value ...] [--inspect]."""

import sys

from spark_sentiment.jobs import inspection, runner, train

if __name__ == "__main__":
    sys.exit(runner.run("train", train.main, options={"--inspect": inspection.main}))
