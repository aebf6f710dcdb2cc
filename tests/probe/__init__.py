"""Tests of the program that runs on nodes."""
