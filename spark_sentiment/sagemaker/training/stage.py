"""An Estimator that trains on SageMaker, by sagemaker_pyspark's own estimator, and cleans up."""

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
    """Train on SageMaker as a stage of a Pipeline, and score by what this makes of the model.

    Data is written to S3 by Spark, under a folder of this fit alone; sagemaker_pyspark's ``fit``
    asks for the training job; model and endpoint are made, tagged and, where anything goes wrong,
    deleted again.

    Parameters
    ----------
    algorithm : str
        A built-in algorithm, as in `SageMakerEndpointModel`, or 'csv' or 'jsonlines', as an image
        of one's own replies.
    stagingPath : str
        Folder on S3, ``s3://bucket/folder``: training files are below it while a fit lasts, models
        below its ``models`` where `outputPath` is not set; what the model scores with 'async' or
        'batch' is below it until ``model.deleteResources()``.
    role : str
        ARN of the IAM role that training and endpoint run as.
    hyperParameters : dict of str to str, optional
        Of the algorithm, as its chapter in the developer guide calls them. Width of the vectors
        and number of classes are told it anyway.
    featuresCol, labelCol, weightCol : str, default 'features', 'label', none
        Columns to learn from; features are a vector, of 'blazingtext' a string.
    validationIndicatorCol : str, optional
        Boolean column: rows where it is true are the channel ``validation``.
    image : str, optional
        Container; a built-in algorithm's in the region by default.
    trainingFormat : {'recordio', 'csv', 'libsvm', 'text'}, optional
        Form of the training files; what the algorithm reads best by default.
    outputPath : str, optional
        Folder on S3 for models.
    instanceType, instanceCount, volumeSize : default 'ml.m5.xlarge', 1, 30
        Machines of the training job; GB of disk each.
    maxRuntime : int, default 86400
        Seconds after which SageMaker stops training.
    fitTimeout : float, default 90000
        Seconds of the clock on the wall that training, and then the endpoint, may take, queues
        included.
    maxWait : int, optional
        Seconds to wait for spot capacity and train, `maxRuntime` at least; set, spot machines are
        used.
    checkpointPath : str, optional
        Folder on S3 for checkpoints, which a spot job goes on from.
    subnets, securityGroups : list of str, optional
        VPC of training and endpoint; both or neither.
    kmsKey : str, optional
        Key for disks and models.
    encryptTraffic : bool, default False
        Encrypt what training machines send each other.
    experiment : dict of str to str, optional
        ``ExperimentName``, ``TrialName``, ``TrialComponentDisplayName``, ``RunName``.
    environment : dict of str to str, optional
        Environment of the endpoint's container.
    inference : {'realtime', 'serverless', 'async', 'batch', 'none'}, default 'realtime'
        What answers when the model transforms: an endpoint, a serverless one, one that is asked by
        way of S3, or a batch transform without any endpoint; 'none' makes no endpoint until
        ``model.createEndpoint()`` does.
    endpointInstanceType, endpointInstanceCount : default 'ml.m5.large', 1
        Machines of the endpoint, or of a batch transform.
    serverless : dict of str to float, optional
        ``memory`` (MB, 2048) and ``concurrency`` (20) of a serverless endpoint.
    autoscaling : dict of str to float, optional
        ``max`` instances, and perhaps ``min`` (1) and ``target`` (1000 requests a minute and
        instance; 5 that wait for an instance, of an asynchronous endpoint): the endpoint grows and
        shrinks with its load.
    runId : str, optional
        Tag of all that is made; the training job's name by default.
    expiresAfter : float, default 24
        Hours after which ``jobs/endpoints.py`` may delete what this made.
    tags : dict of str to str, optional
        More tags.
    keepStaging : bool, default False
        Leave the training files on S3.
    progress : bool, default True
        Say on stderr what the job is doing.
    replySchema, requestFormat, requestFields, outputCols, errorCol, variantCol, targetVariant, \
region, endpointUrl, maxBatchRows, maxBatchBytes, concurrency, timeout, maxAttempts, retryBudget, \
maxErrorShare, batchTimeout
        The fitted model's; see `SageMakerEndpointModel`.

    Raises
    ------
    SchemaError
        Before any Spark job, where a column or a Param does not fit.
    SetupError
        Before any Spark job, where a jar is missing or no region is set.
    DataError
        Where training rows hold nulls, are none, or differ in width; nothing was sent.
    SageMakerError
        Where AWS refuses, training fails, is stopped or takes too long. The job is stopped, staging
        data and whatever else was made is deleted.

    Notes
    -----
    Cost: the rows are computed once, kept, counted and checked in one pass, and written in another
    (a third with a validation channel). An endpoint costs until it is deleted: by
    ``model.deleteResources()``, `delete_resources` of a whole PipelineModel, or ``with deployed``.
    CrossValidator forgets all models but the best, and a Pipeline whose later stage fails all that
    it fitted: fit those by `fit_and_clean_up`. A driver that is killed can clean up nothing;
    ``jobs/endpoints.py`` finds what it left by its tags.

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

    # Told of each model that is fitted, by this and its copies; `fit_and_clean_up` sets it.
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
        """Make a stage of one of sagemaker_pyspark's own estimators.

        Parameters
        ----------
        estimator : SageMakerEstimatorBase
            KMeans, PCA, LDA, XGBoost, LinearLearner, FactorizationMachines, or SageMakerEstimator
            with an image of one's own. Its image, machines, role, key, format and hyperparameters
            are taken over; its clients, its policies and what it does with its model are not.
        **params
            Params of the stage; they beat what the estimator says. `stagingPath` and `role` are
            needed where the estimator leaves them to Spark's configuration.

        Raises
        ------
        SageMakerError
            Where `estimator` is none of sagemaker_pyspark's.

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
        """Return the schema of what the fitted model yields; raise SchemaError where it cannot."""
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
            self._say(f"{facts.rows:,} rows to learn from, {facts.judged:,} to validate by")
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
        """Write the rows, train, and return where the model is."""
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
        # What is scored has no label, so none is sent.
        model.clear(model.labelCol)
        if self._form() == "text" and not self.isSet(self.requestFields):
            model._set(requestFields={"source": self.getFeaturesCol()})
        if deployment is not None:
            model._set(deployment=deployment)
        return model

    def _clear(self, name: str) -> None:
        """Delete what this fit staged, and nothing else."""
        if not self.getOrDefault(self.keepStaging):
            resources.delete_objects(self.uid, self._site(), self._staging(name))
