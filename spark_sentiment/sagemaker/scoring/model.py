"""`SageMakerEndpointModel`: score rows by an endpoint, or by a batch transform."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.util import (
    DefaultParamsReadable,
    DefaultParamsReader,
    DefaultParamsWritable,
)
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import DataType, StringType, StructField, StructType

from spark_sentiment.core import (
    EMPTY,
    VECTOR,
    Stage,
    absent,
    optional,
    params_setter,
    refuse_stream,
    string,
    takes_params,
    to_vector,
)
from spark_sentiment.errors import SageMakerError, SchemaError, SetupError
from spark_sentiment.sagemaker.aws import hosting
from spark_sentiment.sagemaker.aws.clients import call_once, is_denied
from spark_sentiment.sagemaker.aws.hosting import Deployment
from spark_sentiment.sagemaker.formats import replies, requests
from spark_sentiment.sagemaker.formats.replies import Reply
from spark_sentiment.sagemaker.scoring import batch
from spark_sentiment.sagemaker.scoring.batch import Batch
from spark_sentiment.sagemaker.scoring.invoke import AsyncService, Service
from spark_sentiment.sagemaker.scoring.params import HasEndpointParams
from spark_sentiment.sagemaker.scoring.rows import Scoring, scored

_ASYNC_TIMEOUT = 900.0  # default: a request may wait until the endpoint has scaled up
_LOG = logging.getLogger(__name__)


def made_of(value: Any) -> dict[str, Any]:
    """Return a `Deployment` or its dict as a dict; other values raise TypeError or ValueError."""
    if isinstance(value, Deployment):
        return value.as_dict()
    expected = "expected a Deployment or its dict"
    if not isinstance(value, Mapping):
        raise TypeError(f"{expected}, got {value!r}")
    try:
        return Deployment(**value).as_dict()
    except TypeError as error:
        raise ValueError(f"{expected}, got {value!r}") from error


class _Reader(DefaultParamsReader["SageMakerEndpointModel"]):
    """Loads a model, and checks whether its endpoint still exists."""

    def load(self, path: str) -> "SageMakerEndpointModel":
        model = super().load(path)
        model._warn_if_gone()
        return model


class SageMakerEndpointModel(
    Stage,
    Transformer,
    HasEndpointParams,
    DefaultParamsReadable["SageMakerEndpointModel"],
    DefaultParamsWritable,
):
    """Score rows by a SageMaker endpoint, real-time or asynchronous, or by a batch transform.

    Parameters
    ----------
    endpointName : str
        Name of an endpoint in service, or of a model that `SageMakerStage` fitted without endpoint.
    inference : {'realtime', 'serverless', 'async', 'batch', 'none'}, default 'realtime'
        How to score rows. 'async' calls an asynchronous endpoint through S3. 'batch' runs one
        transform job when `transform` is called, and waits for it. The other values send real-time
        requests; they say how `SageMakerStage` has created the endpoint.
    algorithm : str
        Algorithm of the endpoint; it determines format and columns of the replies: a built-in
        algorithm ('kmeans', 'pca', 'lda', 'ntm', 'linear-learner-regressor',
        'linear-learner-binary', 'linear-learner-multiclass', 'factorization-machines-regressor',
        'factorization-machines-binary', 'knn', 'randomcutforest', 'xgboost',
        'xgboost-multiclass', 'blazingtext'), or 'csv' or 'jsonlines' for your own container.
    replySchema : str, optional
        For 'csv' and 'jsonlines': fields of a reply's row, such as 'label string, score double'.
    requestFormat : {'csv', 'libsvm', 'jsonlines', 'recordio'}, optional
        Format of requests: as SageMaker Spark's serializers, byte for byte, or JSON lines; by
        default the best format for `algorithm`.
    featuresCol : str, default 'features'
        Column to send, a vector; not used by 'jsonlines'.
    labelCol : str, optional
        Column that 'libsvm' writes as target; 0.0 if it is unset.
    requestFields : dict of str to str, optional
        For 'jsonlines': the keys of a line's object and the columns of their values, such as
        {'source': 'text'} for BlazingText.
    outputCols : dict of str to str, optional
        New names of columns of the reply, such as {'predicted_label': 'prediction'}.
    errorCol : str, default 'endpoint_error'
        Column with the reason why a row has no prediction; null if it has one.
    variantCol : str, optional
        Column for the production variant that answered; null for 'async' and 'batch'.
    targetVariant : str, optional
        Variant to call, for any weights; not for 'async' and 'batch'.
    region, endpointUrl : str, optional
        AWS region and address of the service; by default those of the environment.
    maxBatchRows : int, default 500
        Maximum number of rows of a request.
    maxBatchBytes : int, default 5242880
        Maximum number of bytes of a request; SageMaker accepts 6,291,456, a serverless endpoint
        4 MB.
    concurrency : int, default 8
        Number of concurrent requests of a task.
    timeout : float, default 70.0, of 'async' 900.0
        Seconds to wait for an answer; SageMaker allows a container 60 s, an asynchronous one up to
        3,600 s.
    maxAttempts : int, default 8
        Maximum number of times that a request is sent.
    retryBudget : float, default 1.0
        Number of retries of a task per request, beyond its first twenty retries.
    maxErrorShare : float, default 0.05
        A task (for 'batch', the whole transform) fails if a larger share of its rows, 0 to 1, has
        no prediction. If it has fewer than 100 rows, the share is of 100.
    endpointInstanceType, endpointInstanceCount : default 'ml.m5.large', 1
        Machines of a batch transform.
    batchTimeout : float, default 86400
        Maximum wall-clock seconds of a transform job, including queues.
    progress : bool, default True
        Whether to print the progress of a batch transform on stderr.
    deployment : Deployment, optional
        Resources of the endpoint; `SageMakerStage` sets it.

    Raises
    ------
    SchemaError
        If a column is missing or mistyped, or an output column exists; before any Spark job.
    SageMakerError
        If the endpoint does not exist. For 'batch', if the job fails, is stopped or takes too long:
        it is then stopped, and its objects on S3 are deleted.
    DataError
        From the tasks (for 'batch', from `transform`), if more than `maxErrorShare` of the rows
        have no prediction. The message has counts, statuses and codes, never a row.

    Notes
    -----
    A request is repeated after a random wait in case of throttling (also as HTTP 400 without a
    message), 424, 429, 5xx, time-outs and broken connections. Other 4xx are not repeated, nor is a
    424 by which the container rejects the request. If the container or the reader rejects a part of
    a request, the request is halved until the faulty row is alone, so that other rows are scored.

    Rows keep their order and number: Spark checks the number of rows, and this stage checks that a
    request of n rows has n answers. The JVM creates the text; one Python worker per task sends it.
    Rows that cannot be sent (null features, a row larger than `maxBatchBytes`) get no prediction
    and an error. A task that Spark runs again calls the endpoint again. An action that needs some
    rows of a partition, such as ``show``, may score all of them: put ``limit`` before this stage.

    An asynchronous endpoint may take minutes for a request; tasks wait for the answers on S3. Only
    answers that arrive after `timeout` stay there, until `deleteResources`.

    A batch transform needs no endpoint, and is for many rows that can wait some minutes.
    `transform` is eager: it computes the rows once, stages them as Parquet, writes the requests,
    runs the job, and joins the replies to the staged rows. The result has all rows in no particular
    order. It reads Parquet below `Deployment.staging`, which stays, for each call of `transform`,
    until `deleteResources`; requests and replies are deleted at once. If the container rejects one
    request, the whole job fails: requests are not halved.

    Cost: the machines of the endpoint or the job. There are tasks times `concurrency` concurrent
    requests, which should not exceed the capacity of the endpoint. A saved model holds names and
    settings, no credentials: boto3 finds the credentials on each executor. For 'async' and 'batch',
    they must allow to list, read, write and delete below the staging folder. Loading logs a warning
    if the endpoint is gone, but not if AWS does not answer within seconds.

    Sources: InvokeEndpoint, InvokeEndpointAsync and CreateTransformJob in SageMaker's API
    reference; SageMaker Spark's serializers.

    Examples
    --------
    >>> model = SageMakerEndpointModel(
    ...     endpointName="sentiment", algorithm="xgboost", requestFormat="csv"
    ... )
    >>> from pyspark.ml.linalg import VectorUDT
    >>> from pyspark.sql.types import StructType
    >>> columns = StructType().add("features", VectorUDT())
    >>> model.transformSchema(columns).names
    ['features', 'prediction', 'endpoint_error']
    """

    endpointName: Param[str] = Param(Params._dummy(), "endpointName", "endpoint to call", string)
    deployment: Param[dict[str, Any]] = Param(
        Params._dummy(),
        "deployment",
        "resources of the endpoint, to create and delete",
        made_of,
    )

    @takes_params
    def __init__(
        self,
        *,
        endpointName: str | None = None,
        inference: str = "realtime",
        algorithm: str | None = None,
        replySchema: str | None = None,
        requestFormat: str | None = None,
        featuresCol: str = "features",
        labelCol: str | None = None,
        requestFields: Mapping[str, str] | None = EMPTY,
        outputCols: Mapping[str, str] | None = EMPTY,
        errorCol: str = "endpoint_error",
        variantCol: str | None = None,
        targetVariant: str | None = None,
        region: str | None = None,
        endpointUrl: str | None = None,
        maxBatchRows: int = 500,
        maxBatchBytes: int = 5_242_880,
        concurrency: int = 8,
        timeout: float = 70.0,
        maxAttempts: int = 8,
        retryBudget: float = 1.0,
        maxErrorShare: float = 0.05,
        endpointInstanceType: str = "ml.m5.large",
        endpointInstanceCount: int = 1,
        batchTimeout: float = 86_400.0,
        progress: bool = True,
        deployment: Deployment | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    @classmethod
    def read(cls) -> DefaultParamsReader["SageMakerEndpointModel"]:
        """Return a reader, which warns if the endpoint of the loaded model is gone."""
        return _Reader(cls)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of `transform`; raise SchemaError if a column is wrong."""
        for param in (self.endpointName, self.algorithm):
            if not self.isDefined(param):
                raise SchemaError(f"{self.uid}: {param.name} is not set: {param.doc}")
        form, features, label, fields = self._request()
        requests.check(schema, self.uid, form, features, label, list(fields.values()))
        for column, (_, kind) in self._added().items():
            absent(schema, self.uid, column)
            schema = StructType([*schema.fields, StructField(column, kind)])
        return schema

    def _request(self) -> tuple[str, str, str | None, dict[str, str]]:
        """Return format, features, label and fields of a request."""
        label = self.getLabelCol() if self.isSet(self.labelCol) else None
        return (
            self._request_format(),
            self.getFeaturesCol(),
            label,
            self.getOrDefault(self.requestFields),
        )

    def _reply(self) -> Reply:
        return replies.reply(self.getOrDefault(self.algorithm), optional(self, self.replySchema))

    def _added(self) -> dict[str, tuple[str, DataType]]:
        """Return the columns that `transform` adds, with their field of a reply and their type."""
        named = self.getOrDefault(self.outputCols)
        columns = [(named.get(name, name), name, kind) for name, kind in self._reply().fields]
        columns.append((self.getOrDefault(self.errorCol), "error", StringType()))
        if self.isSet(self.variantCol):
            columns.append((self.getOrDefault(self.variantCol), "variant", StringType()))
        added = {column: (name, kind) for column, name, kind in columns}
        if len(added) < len(columns):
            spelled = ", ".join(f"{name} -> {column}" for column, name, _ in columns)
            raise SchemaError(
                f"{self.uid}: two fields of the reply have the same column ({spelled}); set "
                "outputCols, errorCol or variantCol"
            )
        return added

    def createEndpoint(self, timeout: float = 1800.0) -> bool:
        """Create the endpoint again, from the trained model, if it is gone.

        Parameters
        ----------
        timeout : float
            Seconds to wait until the endpoint is in service.

        Returns
        -------
        bool
            Whether the endpoint was created; False if it existed.

        Raises
        ------
        SageMakerError
            If this model was not fitted by `SageMakerStage`, or only for batch transforms, or AWS
            refuses.
        """
        wanted = self._deployment()
        if not wanted.variant:
            raise self._no_endpoint(wanted)
        if not hosting.is_gone(self.uid, self._site(), wanted.name):
            return False
        hosting.create(self.uid, self._site(), wanted, timeout, _LOG.info)
        return True

    def deleteResources(self) -> None:
        """Delete endpoint, endpoint configuration, model, and the results of batch transforms.

        The trained artifact on S3 stays. Resources that are already gone are not an error. A
        DataFrame from a batch transform cannot be read afterwards.

        Raises
        ------
        SageMakerError
            If this model was not fitted by `SageMakerStage`, or something cannot be deleted.
        """
        hosting.delete(self.uid, self._site(), self._deployment())

    def _deployment(self) -> Deployment:
        if not self.isSet(self.deployment):
            raise SageMakerError(
                f"{self.uid}: endpoint '{self.getOrDefault(self.endpointName)}' was not created by "
                "a SageMakerStage: create or delete it outside of this library"
            )
        return Deployment(**self.getOrDefault(self.deployment))

    def _no_endpoint(self, made: Deployment) -> SageMakerError:
        return SageMakerError(
            f"{self.uid}: model '{made.name}' was fitted for batch transforms and has no endpoint: "
            "set Param inference to 'batch', or fit again with another value"
        )

    def _folder(self) -> str:
        """Return the staging folder of requests."""
        staging = self._deployment().staging
        if staging is None:
            raise SageMakerError(
                f"{self.uid}: Param deployment has no S3 folder for requests: set its staging"
            )
        return staging

    def _require_endpoint(self) -> None:
        """Raise SageMakerError if the endpoint does not exist, unless AWS denies the request."""
        name = self.getOrDefault(self.endpointName)
        if self.isSet(self.deployment) and self._deployment().name == name:
            made = self._deployment()
            if not made.variant:
                raise self._no_endpoint(made)
            if bool(made.asynchronous) != (self.getOrDefault(self.inference) == "async"):
                is_async = "is" if made.asynchronous else "is not"
                raise SageMakerError(
                    f"{self.uid}: endpoint '{name}' {is_async} asynchronous, and Param inference "
                    f"is '{self.getOrDefault(self.inference)}': change it, or fit again"
                )
        try:
            gone = hosting.is_gone(self.uid, self._site(), name)
        except SageMakerError as error:
            if not is_denied(error):
                raise
            return
        if gone:
            raise SageMakerError(self._gone())

    def _gone(self) -> str:
        """Return the message for a missing endpoint, with advice."""
        again = (
            "createEndpoint() creates it again from the trained model"
            if self.isSet(self.deployment)
            else "set Param endpointName"
        )
        return f"{self.uid}: endpoint '{self.getOrDefault(self.endpointName)}' is missing: {again}"

    def _warn_if_gone(self) -> None:
        """Log a warning if the endpoint does not exist, unless AWS does not answer the request."""
        if not self.isSet(self.endpointName) or self.getOrDefault(self.inference) == "batch":
            return
        name = self.getOrDefault(self.endpointName)
        try:
            gone = hosting.is_gone(self.uid, self._site(), name, ask=call_once)
        except (SageMakerError, SetupError) as error:
            _LOG.info("%s: cannot tell whether endpoint '%s' exists: %s", self.uid, name, error)
            return
        if gone:
            _LOG.warning("%s", self._gone())

    def _service(self, form: str, accept: str) -> Service:
        is_async = self.getOrDefault(self.inference) == "async"
        settings: dict[str, Any] = (
            {"inputs": f"{self._folder()}/async/requests"} if is_async else {}
        )
        usual = is_async and not self.isSet(self.timeout)
        return (AsyncService if is_async else Service)(
            endpoint=self.getOrDefault(self.endpointName),
            content_type=requests.CONTENT_TYPES[form],
            accept=accept,
            site=self._site(),
            variant=optional(self, self.targetVariant),
            timeout=_ASYNC_TIMEOUT if usual else self.getOrDefault(self.timeout),
            connections=self.getOrDefault(self.concurrency),
            attempts=self.getOrDefault(self.maxAttempts),
            budget=self.getOrDefault(self.retryBudget),
            **settings,
        )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.transformSchema(dataset.schema)
        raw = f"{self.uid}_reply"
        added = {}
        for column, (name, kind) in self._added().items():
            value = F.col(raw)[name]
            vector = F.when(value.isNotNull(), to_vector(value))
            added[column] = vector if kind == VECTOR else value
        if self.getOrDefault(self.inference) == "batch":
            answered = self._in_batch(dataset, raw)
        else:
            answered = self._by_requests(dataset, raw)
        return answered.withColumns(added).drop(raw)

    def _in_batch(self, dataset: DataFrame, raw: str) -> DataFrame:
        """Return the rows with the answers of a transform job in column `raw`."""
        refuse_stream(dataset, self.uid)
        request = self._request()

        def record(schema: StructType) -> Column:
            return requests.record(schema, *request)

        return batch.answered(self._batch(), dataset, record, raw, self._say)

    def _batch(self) -> Batch:
        made = self._deployment()
        if made.others:
            raise SageMakerError(
                f"{self.uid}: endpoint '{made.name}' has several models, a batch transform uses "
                "one: call transform of a model that was given to deploy_variants"
            )
        return Batch(
            uid=self.uid,
            site=self._site(),
            deployment=made,
            folder=f"{self._folder()}/batch",
            form=self._request_format(),
            reply=self._reply(),
            rows=self.getOrDefault(self.maxBatchRows),
            bytes=self.getOrDefault(self.maxBatchBytes),
            threads=self.getOrDefault(self.concurrency),
            max_error_share=self.getOrDefault(self.maxErrorShare),
            instance_type=self.getOrDefault(self.endpointInstanceType),
            instance_count=self.getOrDefault(self.endpointInstanceCount),
            timeout=self.getOrDefault(self.batchTimeout),
        )

    def _by_requests(self, dataset: DataFrame, raw: str) -> DataFrame:
        """Return the rows with the answers of the endpoint in column `raw`."""
        import pandas as pd  # imported here: the import is slow

        self._require_endpoint()
        request, answer = self._request(), self._reply()
        scoring = Scoring(
            uid=self.uid,
            form=request[0],
            reply=answer,
            service=self._service(request[0], answer.accept),
            rows=self.getOrDefault(self.maxBatchRows),
            bytes=self.getOrDefault(self.maxBatchBytes),
            max_error_share=self.getOrDefault(self.maxErrorShare),
        )
        names = answer.schema.names

        def score(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
            parts = (requests.parts(batch) for batch in batches)
            for rows in scored(scoring, parts):
                yield pd.DataFrame(rows, columns=names, dtype=object)

        # Marked as nondeterministic, so that the optimizer never scores a row twice.
        udf = pandas_udf(score, answer.schema).asNondeterministic()  # type: ignore[call-overload]
        return dataset.withColumn(raw, udf(requests.record(dataset.schema, *request)))
