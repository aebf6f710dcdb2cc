"""Proposed changes to configuration files, as patches that keep what an admin wrote."""
