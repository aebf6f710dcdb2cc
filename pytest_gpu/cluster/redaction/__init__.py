"""Redaction: secrets are removed from all that is recorded, and lines keep their numbers."""
