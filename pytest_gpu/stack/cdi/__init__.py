"""CDI specs: read as the CDI library reads them, and compared with the node."""
