"""Made-up evidence that many tests use."""
