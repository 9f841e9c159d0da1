"""Training on SageMaker: `SageMakerStage` and its helpers.

``stage`` has the estimator, ``params`` its Params and checks; ``data`` writes the files,
``upstream`` runs sagemaker_pyspark's fit, and ``job`` follows the training job.
"""
