"""Stand-in: a local AWS for development and tests without an account.

`StandIn` serves on one loopback port, as does the command ``python -m spark_sentiment.standin``.
``server`` parses requests and ``shapes`` validates them; ``resources`` stores what was created.
``jobs`` trains, ``hosting`` has models and endpoints, ``runtime`` answers their requests, and
``transforms`` runs batch transforms. ``faults`` makes requests fail. ``others`` serves S3 and other
services by moto, and ``storage`` is a client of that S3. It needs the extra
``spark-sentiment[standin]``.
"""

from spark_sentiment.standin.errors import ContainerError, StandInError
from spark_sentiment.standin.faults import FAULTS
from spark_sentiment.standin.service import StandIn

__all__ = ["FAULTS", "ContainerError", "StandIn", "StandInError"]
