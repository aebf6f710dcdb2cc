"""The catalogue of causes: one TOML file for each prefix, read by pytest_gpu.causes."""
