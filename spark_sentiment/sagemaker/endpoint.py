"""Rows -> requests -> an endpoint's predictions, on the executors."""

import logging
from collections.abc import Iterator
from typing import Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    StringType,
    StructField,
    StructType,
)

from spark_sentiment.errors import SageMakerError, SchemaError
from spark_sentiment.params import (
    VECTOR,
    absent,
    optional,
    string,
)
from spark_sentiment.sagemaker import hosting, replies, requests
from spark_sentiment.sagemaker.aws import is_denied
from spark_sentiment.sagemaker.endpoint_params import SCORING_DEFAULTS, HasEndpointParams
from spark_sentiment.sagemaker.hosting import Deployment
from spark_sentiment.sagemaker.invoke import Service
from spark_sentiment.sagemaker.replies import Reply
from spark_sentiment.sagemaker.scoring import Scoring, scored
from spark_sentiment.vectors import to_vector

_LOG = logging.getLogger(__name__)


def made_of(value: Any) -> dict[str, Any]:
    """Param converter: a `Deployment`, or its dict."""
    try:
        return value.as_dict() if isinstance(value, Deployment) else Deployment(**value).as_dict()
    except TypeError as error:
        raise TypeError(f"expected what hosting.Deployment holds, got {value!r}") from error


class SageMakerEndpointModel(
    Transformer,
    HasEndpointParams,
    DefaultParamsReadable["SageMakerEndpointModel"],
    DefaultParamsWritable,
):
    """Score rows by a SageMaker real-time endpoint.

    Parameters
    ----------
    endpointName : str
        Name of an endpoint in service.
    algorithm : str
        What answers, and so how replies are read and which columns they give: a built-in
        algorithm ('kmeans', 'pca', 'lda', 'ntm', 'linear-learner-regressor',
        'linear-learner-binary', 'linear-learner-multiclass', 'factorization-machines-regressor',
        'factorization-machines-binary', 'knn', 'randomcutforest', 'xgboost',
        'xgboost-multiclass', 'blazingtext'), or 'csv' or 'jsonlines' for a container of one's own.
    replySchema : str, optional
        Of 'csv' and 'jsonlines': what a row of the reply holds, as 'label string, score double'.
    requestFormat : {'csv', 'libsvm', 'jsonlines', 'recordio'}, optional
        How rows are sent: what SageMaker Spark's serializers write, byte for byte, and JSON lines;
        by default what `algorithm` reads best.
    featuresCol : str, default 'features'
        Column to send, a vector; not used by 'jsonlines'.
    labelCol : str, optional
        Column that 'libsvm' writes as target; 0.0 where it is unset.
    requestFields : dict of str to str, optional
        Of 'jsonlines': each key of a line's object, and the column that it takes its value from,
        such as {'source': 'text'} for BlazingText.
    outputCols : dict of str to str, optional
        Other names for columns of the reply, such as {'predicted_label': 'prediction'}.
    errorCol : str, default 'endpoint_error'
        Column that says why a row has no prediction; null where it has one.
    variantCol : str, optional
        Column for the production variant that answered.
    targetVariant : str, optional
        Variant to ask, whatever the weights.
    region, endpointUrl : str, optional
        AWS region and address of the service, where the environment's will not do.
    maxBatchRows : int, default 500
        Rows of a request at most.
    maxBatchBytes : int, default 5242880
        Bytes of a request at most; SageMaker takes 6,291,456, a serverless endpoint 4 MB.
    concurrency : int, default 8
        Requests of a task that are under way at once.
    timeout : float, default 70.0
        Seconds to wait for an answer; SageMaker gives a container 60.
    maxAttempts : int, default 8
        Times that a request is sent at most.
    retryBudget : float, default 1.0
        Retries of a task for each request of it, beyond its first twenty.
    maxErrorShare : float, default 0.05
        A task fails where a larger share of its rows, 0 to 1, has no prediction; where it has fewer
        than 100 rows, the share is of 100.
    deployment : Deployment, optional
        What stands behind the endpoint; `SageMakerStage` sets it.

    Raises
    ------
    SchemaError
        Before any Spark job, where a column is missing, mistyped, or already there.
    SageMakerError
        Where there is no such endpoint.
    DataError
        From the tasks, where more than `maxErrorShare` of the rows have no prediction. The message
        holds counts, statuses and codes, never a row.

    Notes
    -----
    Throttling (also as HTTP 400 without a message), 424, 429, 5xx, time-outs and broken connections
    are repeated after a random wait; no other 4xx is, nor is a 424 by which the container calls the
    request wrong. A request of which the container or the reader refuses a part is halved until
    the row at fault stands alone, so that its neighbours are scored.

    Rows keep their order and number: Spark checks the number, this stage that each request of n
    rows was answered by n. Text is made in the JVM; one Python worker per task sends it. Rows that
    cannot be sent (null features, a row larger than `maxBatchBytes`) get no prediction and an
    error. A task that Spark runs again asks the endpoint again, and an action that takes some rows
    of a partition, such as ``show``, may ask for all of them: put ``limit`` before this stage.

    Cost: the endpoint's; the requests of all tasks together are tasks times `concurrency`, which
    should not be more than its instances can take. Saved are names and settings, no credentials:
    boto3 finds those on each executor as it does everywhere.

    Sources: InvokeEndpoint in SageMaker's API reference; SageMaker Spark's serializers.

    Examples
    --------
    >>> model = SageMakerEndpointModel(
    ...     endpointName="sentiment", algorithm="xgboost", requestFormat="csv"
    ... )
    >>> from pyspark.ml.linalg import VectorUDT
    >>> columns = StructType().add("features", VectorUDT())
    >>> model.transformSchema(columns).names
    ['features', 'prediction', 'endpoint_error']
    """

    endpointName: Param[str] = Param(Params._dummy(), "endpointName", "endpoint to ask", string)
    deployment: Param[dict[str, Any]] = Param(
        Params._dummy(),
        "deployment",
        "what stands behind the endpoint, to make and delete",
        made_of,
    )
    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        endpointName: str | None = None,
        algorithm: str | None = None,
        replySchema: str | None = None,
        requestFormat: str | None = None,
        featuresCol: str = "features",
        labelCol: str | None = None,
        requestFields: dict[str, str] | None = None,
        outputCols: dict[str, str] | None = None,
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
        deployment: Deployment | dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(**SCORING_DEFAULTS)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        endpointName: str | None = None,
        algorithm: str | None = None,
        replySchema: str | None = None,
        requestFormat: str | None = None,
        featuresCol: str = "features",
        labelCol: str | None = None,
        requestFields: dict[str, str] | None = None,
        outputCols: dict[str, str] | None = None,
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
        deployment: Deployment | dict[str, Any] | None = None,
    ) -> "SageMakerEndpointModel":
        """Set the Params given; the others stay."""
        return self._set(**self._input_kwargs)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the schema `transform` yields; raise SchemaError where it cannot."""
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
        """Return the columns that `transform` adds: each one's field of a reply, and its type."""
        named = self.getOrDefault(self.outputCols)
        columns = [(named.get(name, name), name, kind) for name, kind in self._reply().fields]
        columns.append((self.getOrDefault(self.errorCol), "error", StringType()))
        if self.isSet(self.variantCol):
            columns.append((self.getOrDefault(self.variantCol), "variant", StringType()))
        added = {column: (name, kind) for column, name, kind in columns}
        if len(added) < len(columns):
            spelled = ", ".join(f"{name} -> {column}" for column, name, _ in columns)
            raise SchemaError(
                f"{self.uid}: two of the reply's fields would have one column's name ({spelled}); "
                "set outputCols, errorCol or variantCol"
            )
        return added

    def createEndpoint(self, timeout: float = 1800.0) -> bool:
        """Make the endpoint again, from the model that was trained, where it is gone.

        Parameters
        ----------
        timeout : float
            Seconds to wait until it answers.

        Returns
        -------
        bool
            Whether it was made; False where it was there.

        Raises
        ------
        SageMakerError
            Where this model was not fitted by `SageMakerStage`, or AWS refuses.
        """
        wanted = self._deployment()
        if not hosting.is_gone(self.uid, self._site(), wanted.name):
            return False
        hosting.create(self.uid, self._site(), wanted, timeout, _LOG.info)
        return True

    def deleteResources(self) -> None:
        """Delete endpoint, endpoint configuration and model; the trained artifact on S3 stays.

        What is gone already is no error.

        Raises
        ------
        SageMakerError
            Where this model was not fitted by `SageMakerStage`, or something cannot be deleted.
        """
        hosting.delete(self.uid, self._site(), self._deployment())

    def _deployment(self) -> Deployment:
        if not self.isSet(self.deployment):
            raise SageMakerError(
                f"{self.uid}: endpoint '{self.getOrDefault(self.endpointName)}' was not made by a "
                "SageMakerStage, and is not this model's to make or delete"
            )
        return Deployment(**self.getOrDefault(self.deployment))

    def _require_endpoint(self) -> None:
        """Raise SageMakerError where there is no such endpoint; who may not ask, just tries."""
        name = self.getOrDefault(self.endpointName)
        try:
            gone = hosting.is_gone(self.uid, self._site(), name)
        except SageMakerError as error:
            if not is_denied(error):
                raise
            return
        if gone:
            again = (
                "createEndpoint() makes it again from the trained model"
                if self.isSet(self.deployment)
                else "set Param endpointName"
            )
            raise SageMakerError(f"{self.uid}: there is no endpoint '{name}': {again}")

    def _service(self, form: str, accept: str) -> Service:
        return Service(
            endpoint=self.getOrDefault(self.endpointName),
            content_type=requests.CONTENT_TYPES[form],
            accept=accept,
            site=self._site(),
            variant=optional(self, self.targetVariant),
            timeout=self.getOrDefault(self.timeout),
            connections=self.getOrDefault(self.concurrency),
            attempts=self.getOrDefault(self.maxAttempts),
            budget=self.getOrDefault(self.retryBudget),
        )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        import pandas as pd  # two seconds that who does not score need not wait

        self.transformSchema(dataset.schema)
        self._require_endpoint()
        request, answer = self._request(), self._reply()
        form = request[0]
        scoring = Scoring(
            uid=self.uid,
            form=form,
            reply=answer,
            service=self._service(form, answer.accept),
            rows=self.getOrDefault(self.maxBatchRows),
            bytes=self.getOrDefault(self.maxBatchBytes),
            max_error_share=self.getOrDefault(self.maxErrorShare),
        )
        names = [*(name for name, _ in answer.fields), "error", "variant"]

        def score(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
            parts = (_parts(batch) for batch in batches)
            for rows in scored(scoring, parts):
                yield pd.DataFrame(rows, columns=names, dtype=object)

        returned = StructType()
        for name, kind in [*answer.fields, ("error", StringType()), ("variant", StringType())]:
            returned = returned.add(name, ArrayType(DoubleType()) if kind == VECTOR else kind)
        # Called nondeterministic so that the optimizer never asks the endpoint twice for a row.
        udf = pandas_udf(score, returned).asNondeterministic()  # type: ignore[call-overload]
        raw = f"{self.uid}_reply"
        added = {}
        for column, (name, kind) in self._added().items():
            value = F.col(raw)[name]
            vector = F.when(value.isNotNull(), to_vector(value))
            added[column] = vector if kind == VECTOR else value
        record = requests.record(dataset.schema, *request)
        return dataset.withColumn(raw, udf(record)).withColumns(added).drop(raw)


def _parts(batch: Any) -> list[Any]:
    """Return the rows of what Spark hands over: a Series of strings, or a struct's DataFrame."""
    if batch.ndim == 1:
        return list(batch)
    rows = batch.to_dict("records")
    return [row if row["values"] is not None else None for row in rows]
