"""What the user asked for: options and configuration values, checked before the run."""
