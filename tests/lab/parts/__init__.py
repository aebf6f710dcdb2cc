"""Real programs for the lab, fetched or built once."""
