"""Params of scoring, which `SageMakerStage` and its fitted model share."""

import logging
import os
import sys

from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol

from spark_sentiment.core import boolean, integer, names_by_key, number, one_of, optional, string
from spark_sentiment.sagemaker.algorithms import ALGORITHMS
from spark_sentiment.sagemaker.aws.clients import Site
from spark_sentiment.sagemaker.formats import replies, requests
from spark_sentiment.sagemaker.scoring.invoke import MAX_BYTES

_LOG = logging.getLogger(__name__)


class HasEndpointParams(HasFeaturesCol, HasLabelCol):
    """Params of requests, replies and retries of an endpoint."""

    inference: Param[str] = Param(
        Params._dummy(),
        "inference",
        "how rows are scored",
        one_of("realtime", "serverless", "async", "batch", "none"),
    )
    endpointInstanceType: Param[str] = Param(
        Params._dummy(), "endpointInstanceType", "machine of endpoint or transform job", string
    )
    endpointInstanceCount: Param[int] = Param(
        Params._dummy(),
        "endpointInstanceCount",
        "machines of endpoint or transform job",
        integer(1),
    )
    batchTimeout: Param[float] = Param(
        Params._dummy(),
        "batchTimeout",
        "seconds to wait for a transform job",
        number(0, open_low=True),
    )
    progress: Param[bool] = Param(
        Params._dummy(), "progress", "print the progress of the job", boolean
    )
    algorithm: Param[str] = Param(
        Params._dummy(),
        "algorithm",
        "algorithm of the endpoint or image",
        one_of(*replies.ALGORITHMS),
    )
    replySchema: Param[str] = Param(
        Params._dummy(), "replySchema", "fields of a csv or jsonlines reply", string
    )
    requestFormat: Param[str] = Param(
        Params._dummy(), "requestFormat", "format of requests", one_of(*requests.CONTENT_TYPES)
    )
    requestFields: Param[dict[str, str]] = Param(
        Params._dummy(), "requestFields", "for jsonlines: key -> column", names_by_key
    )
    outputCols: Param[dict[str, str]] = Param(
        Params._dummy(), "outputCols", "field of the reply -> column", names_by_key
    )
    errorCol: Param[str] = Param(
        Params._dummy(), "errorCol", "column for the reason of a missing prediction", string
    )
    variantCol: Param[str] = Param(
        Params._dummy(), "variantCol", "column for the variant that answered", string
    )
    targetVariant: Param[str] = Param(Params._dummy(), "targetVariant", "variant to call", string)
    region: Param[str] = Param(Params._dummy(), "region", "AWS region", string)
    endpointUrl: Param[str] = Param(
        Params._dummy(), "endpointUrl", "address of the service", string
    )
    maxBatchRows: Param[int] = Param(
        Params._dummy(), "maxBatchRows", "largest number of rows of a request", integer(1)
    )
    maxBatchBytes: Param[int] = Param(
        Params._dummy(), "maxBatchBytes", "largest size of a request", integer(1, MAX_BYTES)
    )
    concurrency: Param[int] = Param(
        Params._dummy(), "concurrency", "concurrent requests of a task", integer(1, 256)
    )
    timeout: Param[float] = Param(
        Params._dummy(), "timeout", "seconds to wait for an answer", number(0, open_low=True)
    )
    maxAttempts: Param[int] = Param(
        Params._dummy(), "maxAttempts", "largest number of attempts of a request", integer(1)
    )
    retryBudget: Param[float] = Param(
        Params._dummy(), "retryBudget", "retries for each request of a task", number(0)
    )
    maxErrorShare: Param[float] = Param(
        Params._dummy(), "maxErrorShare", "allowed share of rows without prediction", number(0, 1)
    )

    def _request_format(self) -> str:
        """Return the format of requests: the Param, or the best format for the algorithm."""
        given = optional(self, self.requestFormat)
        return str(given or ALGORITHMS[self.getOrDefault(self.algorithm)].request)

    def _say(self, line: str) -> None:
        """Log a line of progress, and write it to stderr if Param progress is True."""
        _LOG.info("%s: %s", self.uid, line)
        if self.getOrDefault(self.progress):
            sys.stderr.write(f"{self.uid}: {line}\n")
            sys.stderr.flush()

    def _site(self) -> Site:
        """Return region and address of AWS from the Params, or from this process's environment."""
        # Read here because executors may lack the variable, and Spark's S3 client ignores it.
        url = optional(self, self.endpointUrl) or os.environ.get("AWS_ENDPOINT_URL")
        return Site(optional(self, self.region), url)
