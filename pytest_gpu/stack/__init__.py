"""The GPU stack: one package a thing, with its facts, checks and causes."""
