"""The GPU stack, one package a thing, lowest first."""
