"""Clean up SageMaker: python jobs/endpoints.py [--run-id ID [--all]] [--delete]; see --help."""

import sys

from spark_sentiment.jobs import endpoints

if __name__ == "__main__":
    sys.exit(endpoints.main())
