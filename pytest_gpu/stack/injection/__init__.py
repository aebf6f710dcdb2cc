"""How GPUs get into containers: by a handler or by CDI, and what a failed start says."""
