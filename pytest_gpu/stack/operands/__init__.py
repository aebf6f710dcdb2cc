"""Workloads that make GPUs work on a node, and what they say: state, logs, events, conditions."""
