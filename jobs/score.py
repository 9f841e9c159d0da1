"""Score: spark-submit jobs/score.py conf/emr.yaml [--set key=value ...]."""

import sys

from spark_sentiment import job, score

if __name__ == "__main__":
    sys.exit(job.run("score", score.main))
