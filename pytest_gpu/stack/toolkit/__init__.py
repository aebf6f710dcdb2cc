"""The NVIDIA container toolkit: its pods, its programs, its own configuration."""
