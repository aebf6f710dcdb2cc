"""Tests of whole runs on the lab's cluster."""
