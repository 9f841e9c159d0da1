"""Print the jars that ``spark-submit --jars`` needs for training, separated by commas."""

import sys

from spark_sentiment.session import sagemaker_jars

if __name__ == "__main__":
    sys.stdout.write(",".join(jar.as_uri() for jar in sagemaker_jars()) + "\n")
