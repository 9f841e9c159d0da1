"""SageMaker as stages of a Pipeline: trained by `SageMakerStage`, asked by its model.

Training: ``stage`` has the estimator, ``training_params`` its Params and what they become,
``training_data`` the files, ``upstream`` sagemaker_pyspark's fit, ``training`` the job,
``algorithms`` the built-in ones. Scoring: ``endpoint`` has the model, ``endpoint_params`` its
Params, ``scoring`` what a task does with its rows; ``requests`` and ``replies`` say what goes over
the wire, ``recordio`` its binary form; ``invoke`` is one call, real-time or asynchronous, with what
is repeated; ``batch`` scores a table by a transform job instead. ``hosting`` makes and deletes what
stands behind an endpoint, ``variants`` puts several models there, ``teardown`` deletes all of a
Pipeline's; ``resources`` names, tags, lists and deletes; ``waits`` says when to look again. ``aws``
makes clients; boto3 is needed, by the extra ``spark-sentiment[sagemaker]``.
"""

from spark_sentiment.sagemaker.endpoint import SageMakerEndpointModel
from spark_sentiment.sagemaker.stage import SageMakerStage
from spark_sentiment.sagemaker.teardown import delete_resources, deployed, fit_and_clean_up
from spark_sentiment.sagemaker.variants import deploy_variants, shift_traffic

__all__ = [
    "SageMakerEndpointModel",
    "SageMakerStage",
    "delete_resources",
    "deploy_variants",
    "deployed",
    "fit_and_clean_up",
    "shift_traffic",
]
