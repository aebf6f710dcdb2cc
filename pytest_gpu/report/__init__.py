"""From test results to verdicts, and from verdicts to what people and machines read."""
