"""GPUs and their driver: the bus, the kernel module, NVML, the kernel log."""
