"""Hostile texts in every place that reaches an output."""
