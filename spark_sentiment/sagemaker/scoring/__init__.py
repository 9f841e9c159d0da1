"""Scoring by an endpoint or a transform job: `SageMakerEndpointModel` and its helpers.

``model`` has the stage and ``params`` its Params. ``rows`` scores the rows of a task, ``invoke``
sends a request with retries, and ``batch`` scores a table by a transform job.
"""
