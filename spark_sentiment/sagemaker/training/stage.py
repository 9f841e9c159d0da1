"""`SageMakerStage`: an Estimator that trains on SageMaker by sagemaker_pyspark, and cleans up."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from spark_sentiment.core import EMPTY, Stage, optional, params_setter, takes_params
from spark_sentiment.errors import SageMakerError, SchemaError
from spark_sentiment.sagemaker.algorithms import image_uri
from spark_sentiment.sagemaker.aws import hosting, resources
from spark_sentiment.sagemaker.aws.clients import find_region
from spark_sentiment.sagemaker.aws.hosting import Deployment
from spark_sentiment.sagemaker.scoring.model import SageMakerEndpointModel
from spark_sentiment.sagemaker.training import data as training_data
from spark_sentiment.sagemaker.training import upstream
from spark_sentiment.sagemaker.training.data import CONTENT_TYPES, Facts
from spark_sentiment.sagemaker.training.job import TrainingJob
from spark_sentiment.sagemaker.training.params import HasTrainingParams
from spark_sentiment.sagemaker.training.upstream import Order


class SageMakerStage(
    Stage,
    Estimator[SageMakerEndpointModel],
    HasTrainingParams,
    DefaultParamsReadable["SageMakerStage"],
    DefaultParamsWritable,
):
    """Train on SageMaker as a stage of a Pipeline; the fitted model scores there.

    Spark writes the data to S3, into a folder for this fit only. sagemaker_pyspark's ``fit`` starts
    the training job. The stage then creates model and endpoint with tags; after a failure it
    deletes them.

    Parameters
    ----------
    algorithm : str
        A built-in algorithm, as in `SageMakerEndpointModel`, or 'csv' or 'jsonlines', the format of
        the replies of your own image.
    stagingPath : str
        Folder on S3, ``s3://bucket/folder``. It holds the training files during a fit, models in
        its ``models`` if `outputPath` is not set, and files of 'async' or 'batch' scoring until
        ``model.deleteResources()``.
    role : str
        ARN of the IAM role of training and endpoint.
    hyperParameters : dict of str to str, optional
        Hyperparameters of the algorithm, with the names of the developer guide. The stage sets the
        width of the vectors and the number of classes itself.
    featuresCol, labelCol, weightCol : str, default 'features', 'label', none
        Columns to learn from; features are a vector, or a string for 'blazingtext'.
    validationIndicatorCol : str, optional
        Boolean column: rows with true are the channel ``validation``.
    image : str, optional
        Container image; by default the image of the built-in algorithm in the region.
    trainingFormat : {'recordio', 'csv', 'libsvm', 'text'}, optional
        Format of the training files; by default the best format for the algorithm.
    outputPath : str, optional
        Folder on S3 for models.
    instanceType, instanceCount, volumeSize : default 'ml.m5.xlarge', 1, 30
        Machines of the training job; GB of disk each.
    maxRuntime : int, default 86400
        Seconds after which SageMaker stops training.
    fitTimeout : float, default 90000
        Maximum wall-clock seconds of training, and then of the start of the endpoint, including
        queues.
    maxWait : int, optional
        Maximum seconds for waiting for spot capacity and training, at least `maxRuntime`. If set,
        spot machines are used.
    checkpointPath : str, optional
        Folder on S3 for checkpoints, from which an interrupted spot job continues.
    subnets, securityGroups : list of str, optional
        VPC of training and endpoint; both or neither.
    kmsKey : str, optional
        Key for disks and models.
    encryptTraffic : bool, default False
        Whether to encrypt traffic between training machines.
    experiment : dict of str to str, optional
        ``ExperimentName``, ``TrialName``, ``TrialComponentDisplayName``, ``RunName``.
    environment : dict of str to str, optional
        Environment of the endpoint's container.
    inference : {'realtime', 'serverless', 'async', 'batch', 'none'}, default 'realtime'
        How the model scores: by an endpoint, a serverless or an asynchronous endpoint, or a batch
        transform without endpoint. With 'none' there is no endpoint until you call
        ``model.createEndpoint()``.
    endpointInstanceType, endpointInstanceCount : default 'ml.m5.large', 1
        Machines of the endpoint, or of a batch transform.
    serverless : dict of str to float, optional
        ``memory`` (MB, 2048) and ``concurrency`` (20) of a serverless endpoint.
    autoscaling : dict of str to float, optional
        ``max`` instances, and optionally ``min`` (1) and ``target`` (1000 requests per minute and
        instance; for an asynchronous endpoint, 5 waiting requests per instance). The endpoint
        scales with its load.
    runId : str, optional
        Tag of all resources; by default the name of the training job.
    expiresAfter : float, default 24
        Hours after which ``jobs/endpoints.py`` may delete the resources.
    tags : dict of str to str, optional
        Further tags.
    keepStaging : bool, default False
        Whether to keep the training files on S3.
    progress : bool, default True
        Whether to print the progress of the job on stderr.
    replySchema, requestFormat, requestFields, outputCols, errorCol, variantCol, targetVariant, \
region, endpointUrl, maxBatchRows, maxBatchBytes, concurrency, timeout, maxAttempts, retryBudget, \
maxErrorShare, batchTimeout
        Params of the fitted model; see `SageMakerEndpointModel`.

    Raises
    ------
    SchemaError
        If a column or a Param is wrong; before any Spark job.
    SetupError
        If a jar is missing or no region is set; before any Spark job.
    DataError
        If training rows have nulls or vectors of different widths, or there are no rows; no
        training job is started.
    SageMakerError
        If AWS refuses, or training fails, is stopped or takes too long. The job is stopped; staging
        data and all resources are deleted.

    Notes
    -----
    Cost: the rows are computed once and persisted, counted and checked in one pass, and written in
    a second (a third with a validation channel). An endpoint costs until it is deleted: by
    ``model.deleteResources()``, `delete_resources` of a whole PipelineModel, or ``with deployed``.
    CrossValidator drops all models but the best, and a Pipeline whose later stage fails drops its
    models: fit them by `fit_and_clean_up`. A driver that is killed cannot clean up;
    ``jobs/endpoints.py`` finds its resources by their tags.

    Sources: SageMaker's API reference (CreateTrainingJob, CreateModel, CreateEndpointConfig); the
    fit is sagemaker_pyspark's ``SageMakerEstimator``.

    Examples
    --------
    >>> stage = SageMakerStage(
    ...     algorithm="kmeans",
    ...     hyperParameters={"k": "10"},
    ...     stagingPath="s3://reviews/staging",
    ...     role="arn:aws:iam::123456789012:role/training",
    ...     region="eu-west-1",
    ... )
    >>> from pyspark.ml.linalg import VectorUDT
    >>> from pyspark.sql.types import StructType
    >>> columns = StructType().add("features", VectorUDT())
    >>> stage.transformSchema(columns).names
    ['features', 'distance_to_cluster', 'closest_cluster', 'endpoint_error']
    """

    # Called with each model that this stage or a copy of it fits; `fit_and_clean_up` sets it.
    _note: Callable[[SageMakerEndpointModel], None] | None = None

    @takes_params
    def __init__(
        self,
        *,
        algorithm: str | None = None,
        stagingPath: str | None = None,
        role: str | None = None,
        hyperParameters: Mapping[str, str] | None = EMPTY,
        featuresCol: str = "features",
        labelCol: str = "label",
        weightCol: str | None = None,
        validationIndicatorCol: str | None = None,
        image: str | None = None,
        trainingFormat: str | None = None,
        outputPath: str | None = None,
        instanceType: str = "ml.m5.xlarge",
        instanceCount: int = 1,
        volumeSize: int = 30,
        maxRuntime: int = 86_400,
        fitTimeout: float = 90_000.0,
        maxWait: int | None = None,
        checkpointPath: str | None = None,
        subnets: list[str] | None = None,
        securityGroups: list[str] | None = None,
        kmsKey: str | None = None,
        encryptTraffic: bool = False,
        experiment: Mapping[str, str] | None = EMPTY,
        environment: Mapping[str, str] | None = EMPTY,
        inference: str = "realtime",
        endpointInstanceType: str = "ml.m5.large",
        endpointInstanceCount: int = 1,
        serverless: Mapping[str, float] | None = EMPTY,
        autoscaling: Mapping[str, float] | None = EMPTY,
        runId: str | None = None,
        expiresAfter: float = 24.0,
        tags: Mapping[str, str] | None = EMPTY,
        keepStaging: bool = False,
        progress: bool = True,
        replySchema: str | None = None,
        requestFormat: str | None = None,
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
        batchTimeout: float = 86_400.0,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    @classmethod
    def from_estimator(cls, estimator: Any, **params: Any) -> "SageMakerStage":
        """Return a stage with the settings of an estimator of sagemaker_pyspark.

        Parameters
        ----------
        estimator : SageMakerEstimatorBase
            KMeans, PCA, LDA, XGBoost, LinearLearner, FactorizationMachines, or SageMakerEstimator
            with your own image. The stage takes its image, machines, role, key, format and
            hyperparameters. It does not take its clients, its policies, nor settings of its model.
        **params
            Params of the stage, which override those of the estimator. `stagingPath` and `role` are
            required if the estimator takes them from Spark's configuration.

        Raises
        ------
        SageMakerError
            If `estimator` is not an estimator of sagemaker_pyspark.

        Examples
        --------
        >>> from sagemaker_pyspark import IAMRole, S3DataPath
        >>> from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator
        >>> kmeans = KMeansSageMakerEstimator(
        ...     sagemakerRole=IAMRole("arn:aws:iam::123456789012:role/training"),
        ...     trainingInstanceType="ml.m5.xlarge",
        ...     trainingInstanceCount=1,
        ...     endpointInstanceType="ml.m5.large",
        ...     endpointInitialInstanceCount=1,
        ...     trainingInputS3DataPath=S3DataPath("reviews", "staging"),
        ... )
        >>> kmeans.setK(10)
        >>> stage = SageMakerStage.from_estimator(kmeans)
        >>> stage.getOrDefault("algorithm"), stage.getOrDefault("hyperParameters")["k"]
        ('kmeans', '10')
        >>> stage.getOrDefault("stagingPath")
        's3://reviews/staging'
        """
        return cls(**{**upstream.params_of(estimator), **params})

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of the fitted model; raise SchemaError if `schema` is wrong."""
        for param in (self.algorithm, self.stagingPath, self.role):
            if not self.isDefined(param):
                raise SchemaError(f"{self.uid}: {param.name} is not set: {param.doc}")
        self._check_settings()
        self._columns().check(schema, self.uid, self._form())
        return self._model("not-made-yet", None).transformSchema(schema)

    def _fit(self, dataset: DataFrame) -> SageMakerEndpointModel:
        self.transformSchema(dataset.schema)
        spark = dataset.sparkSession
        upstream.check_jars(spark, self.uid)
        image = self._image()
        name = resources.unique_name(self.getOrDefault(self.algorithm))
        upstream.reach_bucket(spark, self._site(), self.getOrDefault(self.stagingPath))
        rows = self._columns().of(dataset).persist()
        steps: list[Callable[[], object]] = [partial(self._clear, name)]
        try:
            facts = training_data.facts(self.uid, rows)
            self._say(f"{facts.rows:,} training rows, {facts.judged:,} validation rows")
            more = self._beside(name, facts)
            timeout = self.getOrDefault(self.fitTimeout)
            job = TrainingJob(self.uid, self._site(), more, timeout, self._say)
            steps.insert(0, job.stop)
            artifact = self._trained(rows, facts, job, name, image)
        except BaseException as failure:
            resources.clean_up(failure, *steps)
            raise
        finally:
            rows.unpersist()
        wanted = self._deployment(name, image, artifact)
        try:
            self._clear(name)
            if self.getOrDefault(self.inference) != "none":
                hosting.create(self.uid, self._site(), wanted, timeout, self._say)
        except SageMakerError as failure:
            failure.add_note(f"the trained model is {artifact}")
            raise
        model = self._model(name, wanted)
        if self._note is not None and self.getOrDefault(self.inference) != "none":
            self._note(model)
        return model

    def _trained(
        self, rows: DataFrame, facts: Facts, job: TrainingJob, name: str, image: str
    ) -> str:
        """Write the rows, train, and return the S3 URI of the model."""
        form, staging = self._form(), self._staging(name)
        if facts.judged:
            judged = training_data.files(rows.where(training_data.VALIDATION), form)
            path = upstream.path(rows.sparkSession, f"{staging}/validation")
            judged.rows.write.format(judged.format).options(**judged.options).save(path)
        if training_data.VALIDATION in rows.columns:
            rows = rows.where(~rows[training_data.VALIDATION])
        order = Order(
            name=name,
            image=image,
            role=self.getOrDefault(self.role),
            instance_type=self.getOrDefault(self.instanceType),
            instance_count=self.getOrDefault(self.instanceCount),
            volume=self.getOrDefault(self.volumeSize),
            max_runtime=self.getOrDefault(self.maxRuntime),
            staging=f"{staging}/train",
            output=optional(self, self.outputPath)
            or f"{self.getOrDefault(self.stagingPath)}/models",
            content_type=CONTENT_TYPES[form],
            hyperparameters=self._hyperparameters(facts),
        )
        return upstream.fit(
            self.uid, training_data.files(rows, form), order, job.create, job.finished
        )

    def _image(self) -> str:
        named = optional(self, self.image)
        return str(named or image_uri(self.getOrDefault(self.algorithm), find_region(self._site())))

    def _model(self, name: str, deployment: Deployment | None) -> SageMakerEndpointModel:
        """Return the model that scores by endpoint `name`, with this stage's Params."""
        model = self._copyValues(SageMakerEndpointModel(endpointName=name))
        model._resetUid(self.uid)
        # Rows to score have no label.
        model.clear(model.labelCol)
        if self._form() == "text" and not self.isSet(self.requestFields):
            model._set(requestFields={"source": self.getFeaturesCol()})
        if deployment is not None:
            model._set(deployment=deployment)
        return model

    def _clear(self, name: str) -> None:
        """Delete the staging folder of this fit, unless Param keepStaging is True."""
        if not self.getOrDefault(self.keepStaging):
            resources.delete_objects(self.uid, self._site(), self._staging(name))
