"""Print what ``spark-submit --jars`` needs to train on SageMaker, parted by commas."""

import sys

from spark_sentiment.session import sagemaker_jars

if __name__ == "__main__":
    sys.stdout.write(",".join(sagemaker_jars()) + "\n")
