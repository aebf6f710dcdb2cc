"""Our reading of systemd units against a real systemd."""
