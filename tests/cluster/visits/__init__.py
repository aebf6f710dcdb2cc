"""Tests of visits: pod, ssh, local, shell."""
