"""Score: spark-submit jobs/score.py conf/emr.yaml [--set key=value ...]."""

import sys

from spark_sentiment.jobs import runner, score

if __name__ == "__main__":
    sys.exit(runner.run("score", score.main))
