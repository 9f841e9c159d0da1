"""Bias: metrics of facets and classes, before and after training.

`bias_metrics` returns the report, `BiasReport` is the stage that measures it, and `BiasEvaluator`
returns one metric for model selection. Gates are bounds on metrics. One aggregation counts all
facets (``counts``); each metric is arithmetic on these counts (``formulas``, ``association``), but
for ``fliptest``, which samples rows.
"""

from spark_sentiment.bias.evaluator import BiasEvaluator
from spark_sentiment.bias.facets import Facet
from spark_sentiment.bias.gates import BrokenGate, Gate, broken_gates, require_gates
from spark_sentiment.bias.measures import GROUPS, METRICS, REPORT_SCHEMA, ReportRow
from spark_sentiment.bias.report import BiasReport, BiasReportModel, bias_metrics

__all__ = [
    "GROUPS",
    "METRICS",
    "REPORT_SCHEMA",
    "BiasEvaluator",
    "BiasReport",
    "BiasReportModel",
    "BrokenGate",
    "Facet",
    "Gate",
    "ReportRow",
    "bias_metrics",
    "broken_gates",
    "require_gates",
]
