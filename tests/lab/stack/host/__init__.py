"""Our reading of systemd units, compared with a real systemd."""
