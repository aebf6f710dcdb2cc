"""What keeps containers with GPUs from starting."""
