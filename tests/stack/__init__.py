"""Tests of facts, checks and causes, one package a thing."""
