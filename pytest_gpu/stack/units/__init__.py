"""Services of the host that belong to GPUs: companions of the driver, and what refreshes CDI."""
