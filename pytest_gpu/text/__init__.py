"""Text: names, what people read, and commands that are safe to copy."""
