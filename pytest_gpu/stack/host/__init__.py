"""The machine: processes, mounts, programs and their libraries, systemd units."""
