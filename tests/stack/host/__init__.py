"""Tests of processes and systemd units on the host."""
