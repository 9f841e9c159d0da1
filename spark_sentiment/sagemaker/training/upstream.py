"""sagemaker_pyspark's own estimator: it writes the data and asks for the training job.

Its ``fit`` runs as it is, but the client that it is given is ours: what it asks of SageMaker comes
back to Python, where boto3 asks it, with what sagemaker_pyspark has no argument for. Nothing of
the AWS SDK for Java is left in the way of control: not its polling, nor its credentials.
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
    """What sagemaker_pyspark's estimator is told.

    Attributes
    ----------
    name : str
        Of the training job.
    image, role, instance_type, instance_count, volume, max_runtime
        As in CreateTrainingJob; GB, seconds.
    staging, output : str
        Addresses on S3; the job's name is appended to both.
    content_type : str
        What the training files call themselves.
    hyperparameters : mapping of str to str
        Of the algorithm.
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
    """Raise SetupError where Spark was started without a jar that training needs."""
    _check(spark, uid, _NEEDED if _has_emrfs(spark) else {**_NEEDED, **_S3A})


def check_s3(spark: SparkSession, uid: str) -> None:
    """Raise SetupError where Spark was started without the jar by which it reads and writes S3."""
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
    """Return `uri` as Spark writes to it: by EMR's file system where it is the one for s3://."""
    return uri if _has_emrfs(spark) else uri.replace("s3://", "s3a://", 1)


def _has_emrfs(spark: SparkSession) -> bool:
    return "EmrFileSystem" in (jvm.hadoop_conf(spark).get("fs.s3.impl") or "")


def reach_bucket(spark: SparkSession, site: Site, uri: str) -> None:
    """Let Spark read and write the bucket of `uri` where `site` is; AWS's own needs nothing."""
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
        # Hadoop keeps a client for each bucket, with the address that it was made for.
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
        Who asks; it opens messages.
    files : Files
        What to learn from, and how Spark writes it.
    order : Order
        The job.
    create : callable
        Is given the request for the job, as boto3's ``create_training_job`` takes it.
    finished : callable
        Waits for the job, and returns where its model is.

    Returns
    -------
    str
        Where the model is.

    Raises
    ------
    Exception
        What `create` or `finished` raise; SageMakerError where sagemaker_pyspark fails itself.
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
    """Return the Params that make a `SageMakerStage` of one of sagemaker_pyspark's estimators.

    Raises
    ------
    SageMakerError
        Where `estimator` is none of them.
    """
    name = type(estimator).__name__
    if name not in _ALGORITHMS or not hasattr(estimator, "_call_java"):
        raise SageMakerError(
            f"{name} is no estimator of sagemaker_pyspark; those are: {', '.join(_ALGORITHMS)}"
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
    """What sagemaker_pyspark takes for a client of SageMaker: its two calls, made in Python."""

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
        """Take a step, but keep what it raises: Java would hand on its text alone.

        What stops Python must not cross Java either, in the middle of a call: for
        sagemaker_pyspark the job has failed, and then Python hears of it again.
        """
        try:
            return step()
        except BaseException as error:
            self.raised = error
            return None


def _as_request(request: Any) -> dict[str, Any]:
    """Return Java's CreateTrainingJobRequest as boto3 takes it."""
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
    """Build sagemaker_pyspark's SageMakerEstimator; it makes no endpoint and deletes nothing."""
    sdk = java.com.amazonaws.services.sagemaker.sparksdk

    def mapping(pairs: Mapping[str, str]) -> Any:
        made = java.java.util.HashMap()
        for key, value in pairs.items():
            made.put(key, value)
        return java.org.apache.spark.api.python.PythonUtils.toScalaMap(made)

    def option(value: str | None) -> Any:
        return java.scala.Option.apply(value)

    # The last three names are for what it would create beside the job, which it does not.
    names = sdk.CustomNamePolicyFactory(order.name, order.name, order.name, order.name)
    return sdk.SageMakerEstimator(
        order.image,
        order.image,
        sdk.IAMRole(order.role),
        order.instance_type,
        order.instance_count,
        order.instance_type,
        1,
        None,  # serializer and deserializer of its model, which is not used
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
        None,  # clients of S3 and STS, which are asked only where no path is given
        None,
        True,
        False,  # deleteStagingDataAfterTraining takes run10 for a part of run1
        names,
        uid,
        mapping(order.hyperparameters),
    )


def _short(error: Exception) -> str:
    """Return the first line of what Java said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = next((line for line in lines if line.startswith(": ")), lines[0] if lines else "")
    return found.removeprefix(": ")
