"""From facts to findings: which root cause explains what a requirement saw."""
