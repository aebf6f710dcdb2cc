"""Our reading of files, compared with the real components."""
