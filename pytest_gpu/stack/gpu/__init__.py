"""The GPUs of a node: the hardware, its driver, and their health."""
