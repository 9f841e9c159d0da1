"""Training on SageMaker: `SageMakerStage` and what it needs.

``stage`` has the estimator, ``params`` its Params and what they become; ``data`` writes the files,
``upstream`` runs sagemaker_pyspark's fit, and ``job`` follows the training job.
"""
