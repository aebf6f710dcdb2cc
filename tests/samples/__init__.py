"""Tests of the shipped samples and of recorded cases."""
