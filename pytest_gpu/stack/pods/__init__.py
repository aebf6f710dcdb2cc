"""Device plugins, RuntimeClasses and GPU pods."""
