"""Tests of what injects GPUs into containers, and of who refuses to start them."""
