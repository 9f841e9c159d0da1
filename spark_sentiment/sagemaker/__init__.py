"""SageMaker as stages of a Pipeline: `SageMakerStage` trains, its model scores.

``training`` has the estimator, and ``scoring`` the model, which calls an endpoint or a transform
job. ``formats`` reads and writes requests and replies, ``algorithms`` describes the built-in
algorithms, and ``aws`` creates clients and resources. ``variants`` puts several models behind one
endpoint, ``teardown`` deletes the resources of a Pipeline, and ``janitor`` finds resources that
runs have left. It needs boto3, from the extra ``spark-sentiment[sagemaker]``.
"""

from spark_sentiment.sagemaker.aws.clients import Site, find_region
from spark_sentiment.sagemaker.aws.resources import Resource
from spark_sentiment.sagemaker.janitor import Verdict, carry_out, find_leftovers, format_span, judge
from spark_sentiment.sagemaker.scoring.model import SageMakerEndpointModel
from spark_sentiment.sagemaker.teardown import delete_resources, deployed, fit_and_clean_up
from spark_sentiment.sagemaker.training.stage import SageMakerStage
from spark_sentiment.sagemaker.variants import deploy_variants, shift_traffic

__all__ = [
    "Resource",
    "SageMakerEndpointModel",
    "SageMakerStage",
    "Site",
    "Verdict",
    "carry_out",
    "delete_resources",
    "deploy_variants",
    "deployed",
    "find_leftovers",
    "find_region",
    "fit_and_clean_up",
    "format_span",
    "judge",
    "shift_traffic",
]
