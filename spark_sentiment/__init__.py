"""Spark ML stages for product-review sentiment."""
