"""What a user's project adds to a run: causes of its own, and its hooks."""
