"""Scoring by an endpoint or a transform job: `SageMakerEndpointModel` and what it needs.

``model`` has the stage and ``params`` its Params; ``rows`` is what a task does with its rows,
``invoke`` one call with what is repeated, ``batch`` a table scored by a transform job.
"""
