"""A stand-in for AWS on this machine: develop without an account, and test what is really done.

`StandIn` serves on one loopback port, as does the command ``python -m spark_sentiment.standin``.
``server`` takes requests apart; ``resources`` keeps what was created, ``jobs`` trains, ``hosting``
has models and endpoints, ``runtime`` answers their requests, ``transforms`` those of whole folders;
``shapes`` refuses what AWS refuses, ``faults`` lets requests fail. ``others`` has moto serve S3 and
the rest, and ``storage`` reads and writes S3 as everyone does. The extra
``spark-sentiment[standin]`` is needed.
"""

from spark_sentiment.standin.errors import ContainerError, StandInError
from spark_sentiment.standin.faults import FAULTS
from spark_sentiment.standin.service import StandIn

__all__ = ["FAULTS", "ContainerError", "StandIn", "StandInError"]
