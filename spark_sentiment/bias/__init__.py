"""Bias: metrics of facets and classes, before and after training.

`bias_metrics` is the report as a function, `BiasReport` as a stage, `BiasEvaluator` one metric as a
figure to select by; gates bound a metric. One aggregation counts all facets (``counts``), and each
metric is arithmetic on those counts (``formulas``, ``association``, ``fliptest``).
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
