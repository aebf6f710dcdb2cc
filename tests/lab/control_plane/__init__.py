"""The lab's control plane, and what is installed on it."""
