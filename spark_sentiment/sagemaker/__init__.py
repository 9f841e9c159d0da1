"""SageMaker's stages: an endpoint's predictions in a Pipeline.

``endpoint`` has the stage, ``scoring`` what a task does with its rows; ``requests`` and ``replies``
say what goes over the wire, ``recordio`` its binary form; ``invoke`` is one call, with what is
repeated. ``resources`` names, tags, lists and deletes what SageMaker keeps. ``aws`` makes clients;
boto3 is needed, by the extra ``spark-sentiment[sagemaker]``.
"""

from spark_sentiment.sagemaker.endpoint import SageMakerEndpointModel

__all__ = ["SageMakerEndpointModel"]
