"""``--gpu-explain``: the causes, explained without a cluster."""
