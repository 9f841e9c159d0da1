"""Run the ``fit`` of sagemaker_pyspark's estimator, which writes the data and creates the job.

The estimator gets a SageMaker client that is implemented in Python. The client receives the
requests of the estimator, adds settings for which sagemaker_pyspark has no argument, and sends them
by boto3. The polling and the credentials of the AWS SDK for Java are therefore not used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from spark_sentiment.core import jvm
from spark_sentiment.errors import SageMakerError, SetupError
from spark_sentiment.sagemaker.aws.clients import NO_ACCOUNT, Site
from spark_sentiment.sagemaker.aws.resources import split_uri
from spark_sentiment.sagemaker.training.data import Files

_ESTIMATOR = "com.amazonaws.services.sagemaker.sparksdk.SageMakerEstimator"
_NEEDED = {
    _ESTIMATOR: "sagemaker_pyspark's jars",
    "com.google.protobuf.MessageOrBuilder": "com.google.protobuf:protobuf-java:3.19.4",
}
_ALGORITHMS = {
    "KMeansSageMakerEstimator": "kmeans",
    "PCASageMakerEstimator": "pca",
    "LDASageMakerEstimator": "lda",
    "XGBoostSageMakerEstimator": "xgboost",
    "LinearLearnerRegressor": "linear-learner-regressor",
    "LinearLearnerBinaryClassifier": "linear-learner-binary",
    "LinearLearnerMultiClassClassifier": "linear-learner-multiclass",
    "FactorizationMachinesRegressor": "factorization-machines-regressor",
    "FactorizationMachinesBinaryClassifier": "factorization-machines-binary",
    "SageMakerEstimator": "csv",
}
_S3A = {"org.apache.hadoop.fs.s3a.S3AFileSystem": "hadoop-aws of Spark's own Hadoop version"}


@dataclass(frozen=True)
class Order:
    """Arguments of sagemaker_pyspark's estimator.

    Attributes
    ----------
    name : str
        Name of the training job.
    image, role, instance_type, instance_count, volume, max_runtime
        As in CreateTrainingJob, in GB and seconds.
    staging, output : str
        S3 URIs; the estimator appends the name of the job to both.
    content_type : str
        Content type of the training files.
    hyperparameters : mapping of str to str
        Hyperparameters of the algorithm.
    """

    name: str
    image: str
    role: str
    instance_type: str
    instance_count: int
    volume: int
    max_runtime: int
    staging: str
    output: str
    content_type: str
    hyperparameters: Mapping[str, str]


def check_jars(spark: SparkSession, uid: str) -> None:
    """Raise SetupError if Spark was started without a jar that training needs."""
    _check(spark, uid, _NEEDED if _has_emrfs(spark) else {**_NEEDED, **_S3A})


def check_s3(spark: SparkSession, uid: str) -> None:
    """Raise SetupError if Spark was started without the jar for reading and writing S3."""
    _check(spark, uid, {} if _has_emrfs(spark) else _S3A)


def _check(spark: SparkSession, uid: str, needed: Mapping[str, str]) -> None:
    missing = [jar for name, jar in needed.items() if not jvm.has_class(spark, name)]
    if missing:
        raise SetupError(
            f"{uid}: Spark was started without {' and '.join(missing)}; start it with "
            "spark_sentiment.session.get_session('name', sagemaker=True), or spark-submit with "
            "--jars $(python -m spark_sentiment.sagemaker)"
        )


def path(spark: SparkSession, uri: str) -> str:
    """Return `uri` for Spark: ``s3://`` on EMR, where EMRFS handles it, else ``s3a://``."""
    return uri if _has_emrfs(spark) else uri.replace("s3://", "s3a://", 1)


def _has_emrfs(spark: SparkSession) -> bool:
    return "EmrFileSystem" in (jvm.hadoop_conf(spark).get("fs.s3.impl") or "")


def reach_bucket(spark: SparkSession, site: Site, uri: str) -> None:
    """Configure Spark to access the bucket of `uri` at the URL of `site`, if it has one."""
    bucket, _ = split_uri(uri)
    if site.url is None:
        return
    settings = {
        "endpoint": site.url,
        "path.style.access": "true",
        "connection.ssl.enabled": str(site.url.startswith("https")).lower(),
    }
    if site.local:
        settings |= {
            "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
            "access.key": NO_ACCOUNT["aws_access_key_id"],
            "secret.key": NO_ACCOUNT["aws_secret_access_key"],
        }
    keys = {f"fs.s3a.bucket.{bucket}.{name}": value for name, value in settings.items()}
    if jvm.set_hadoop(spark, keys):
        # Hadoop caches a client for each bucket, with the old address.
        jvm.forget_file_system(spark, f"s3a://{bucket}/")


def fit(
    uid: str,
    files: Files,
    order: Order,
    create: Callable[[dict[str, Any]], None],
    finished: Callable[[], str],
) -> str:
    """Write `files` to S3 and run a training job, by sagemaker_pyspark's ``fit``.

    Parameters
    ----------
    uid : str
        Id of the stage, which begins messages.
    files : Files
        The training rows, and the data source that writes them.
    order : Order
        Settings of the job.
    create : callable
        Function that creates the job; it takes the arguments of boto3's ``create_training_job``.
    finished : callable
        Function that waits for the job, and returns the S3 URI of its model.

    Returns
    -------
    str
        S3 URI of the model.

    Raises
    ------
    Exception
        Any error of `create` or `finished`; SageMakerError if sagemaker_pyspark fails.
    """
    java = jvm.callback_view(files.rows.sparkSession)
    client = _Client(java, create, finished)
    estimator = _estimator(java, uid, files, order, client)
    try:
        estimator.fit(jvm.java_frame(files.rows))
    except jvm.CALL_ERRORS as error:
        if client.raised is not None:
            raise client.raised from None
        raise SageMakerError(f"{uid}: sagemaker_pyspark's fit failed: {_short(error)}") from error
    return client.artifact


def params_of(estimator: Any) -> dict[str, Any]:
    """Return the Params of a `SageMakerStage` that does the same as a sagemaker_pyspark estimator.

    Raises
    ------
    SageMakerError
        If `estimator` is not an estimator of sagemaker_pyspark.
    """
    name = type(estimator).__name__
    if name not in _ALGORITHMS or not hasattr(estimator, "_call_java"):
        raise SageMakerError(
            f"{name} is not an estimator of sagemaker_pyspark; use one of: {', '.join(_ALGORITHMS)}"
        )
    estimator._transfer_params_to_java()
    java = estimator._java_obj
    told: dict[str, Any] = {
        "algorithm": _ALGORITHMS[name],
        "image": java.trainingImage(),
        "instanceType": java.trainingInstanceType(),
        "instanceCount": java.trainingInstanceCount(),
        "volumeSize": java.trainingInstanceVolumeSizeInGB(),
        "maxRuntime": java.trainingMaxRuntimeInSeconds(),
        "endpointInstanceType": java.endpointInstanceType(),
        "endpointInstanceCount": java.endpointInitialInstanceCount(),
        "hyperParameters": dict(java.makeHyperParameters()),
    }
    role, staging = java.sagemakerRole(), java.trainingInputS3DataPath()
    if role.getClass().getSimpleName() == "IAMRole":
        told["role"] = role.role()
    if staging.getClass().getSimpleName() == "S3DataPath":
        told["stagingPath"] = staging.toS3UriString()
    key = java.trainingKmsKeyId()
    if key.isDefined():
        told["kmsKey"] = key.get()
    form = java.trainingSparkDataFormat()
    if name != "SageMakerEstimator":
        told["trainingFormat"] = {"sagemaker": "recordio"}.get(form, form)
    options = java.trainingSparkDataFormatOptions()
    for param, option in (("featuresCol", "featuresColumnName"), ("labelCol", "labelColumnName")):
        if options.contains(option):
            told[param] = options.apply(option)
    return told


class _Client:
    """Client of SageMaker for sagemaker_pyspark; Python implements the two calls that it makes."""

    class Java:
        implements = ("com.amazonaws.services.sagemaker.AmazonSageMaker",)

    def __init__(
        self, java: Any, create: Callable[[dict[str, Any]], None], finished: Callable[[], str]
    ) -> None:
        self._model = java.com.amazonaws.services.sagemaker.model
        self._create, self._finished = create, finished
        self.artifact = ""
        self.raised: BaseException | None = None

    def createTrainingJob(self, request: Any) -> Any:
        self._kept(lambda: self._create(_as_request(request)))
        return self._model.CreateTrainingJobResult()

    def describeTrainingJob(self, request: Any) -> Any:
        if self.raised is None and not self.artifact:
            self.artifact = self._kept(self._finished) or ""
        found = self._model.DescribeTrainingJobResult()
        if self.raised is not None:
            return found.withTrainingJobStatus("Failed")
        artifacts = self._model.ModelArtifacts().withS3ModelArtifacts(self.artifact)
        return found.withTrainingJobStatus("Completed").withModelArtifacts(artifacts)

    def toString(self) -> str:
        return "spark_sentiment's client of SageMaker"

    def _kept(self, step: Callable[[], Any]) -> Any:
        """Call `step`, and store its error, because Java would only keep the text of the error.

        KeyboardInterrupt is stored too, because it must not pass through a call of Java.
        sagemaker_pyspark then sees a failed job, and `fit` raises the stored error.
        """
        try:
            return step()
        except BaseException as error:
            self.raised = error
            return None


def _as_request(request: Any) -> dict[str, Any]:
    """Convert Java's CreateTrainingJobRequest to the arguments of boto3."""
    resources, output = request.getResourceConfig(), request.getOutputDataConfig()
    algorithm = request.getAlgorithmSpecification()
    asked: dict[str, Any] = {
        "TrainingJobName": request.getTrainingJobName(),
        "RoleArn": request.getRoleArn(),
        "AlgorithmSpecification": {
            "TrainingImage": algorithm.getTrainingImage(),
            "TrainingInputMode": algorithm.getTrainingInputMode(),
        },
        "HyperParameters": dict(request.getHyperParameters() or {}),
        "InputDataConfig": [_as_channel(channel) for channel in request.getInputDataConfig()],
        "OutputDataConfig": {"S3OutputPath": output.getS3OutputPath()},
        "ResourceConfig": {
            "InstanceType": resources.getInstanceType(),
            "InstanceCount": resources.getInstanceCount(),
            "VolumeSizeInGB": resources.getVolumeSizeInGB(),
        },
        "StoppingCondition": {
            "MaxRuntimeInSeconds": request.getStoppingCondition().getMaxRuntimeInSeconds()
        },
    }
    return asked


def _as_channel(channel: Any) -> dict[str, Any]:
    source = channel.getDataSource().getS3DataSource()
    return {
        "ChannelName": channel.getChannelName(),
        "ContentType": channel.getContentType(),
        "DataSource": {
            "S3DataSource": {
                "S3Uri": source.getS3Uri(),
                "S3DataType": source.getS3DataType(),
                "S3DataDistributionType": source.getS3DataDistributionType(),
            }
        },
    }


def _estimator(java: Any, uid: str, files: Files, order: Order, client: _Client) -> Any:
    """Build sagemaker_pyspark's SageMakerEstimator, without an endpoint and without deletions."""
    sdk = java.com.amazonaws.services.sagemaker.sparksdk

    def mapping(pairs: Mapping[str, str]) -> Any:
        made = java.java.util.HashMap()
        for key, value in pairs.items():
            made.put(key, value)
        return java.org.apache.spark.api.python.PythonUtils.toScalaMap(made)

    def option(value: str | None) -> Any:
        return java.scala.Option.apply(value)

    # The last three names are for resources that the estimator does not create here.
    names = sdk.CustomNamePolicyFactory(order.name, order.name, order.name, order.name)
    return sdk.SageMakerEstimator(
        order.image,
        order.image,
        sdk.IAMRole(order.role),
        order.instance_type,
        order.instance_count,
        order.instance_type,
        1,
        None,  # serializer and deserializer of its model, which are not used
        None,
        sdk.S3DataPath(*split_uri(order.staging)),
        sdk.S3DataPath(*split_uri(order.output)),
        order.volume,
        option(None),
        "train",
        option(order.content_type),
        "ShardedByS3Key",
        files.format,
        mapping(files.options),
        "File",
        option(None),
        order.max_runtime,
        option(None),
        mapping({}),
        sdk.EndpointCreationPolicy.DO_NOT_CREATE(),
        client,
        None,  # clients of S3 and STS, which are used only without a path
        None,
        True,
        False,  # deleteStagingDataAfterTraining would delete run10 with run1
        names,
        uid,
        mapping(order.hyperparameters),
    )


def _short(error: Exception) -> str:
    """Return the first line of the message of a Java error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = next((line for line in lines if line.startswith(": ")), lines[0] if lines else "")
    return found.removeprefix(": ")
