"""The NVIDIA container toolkit: its programs, its own configuration, what it writes."""
