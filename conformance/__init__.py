"""The shipped suite: one module for each layer of the ladder, lowest first."""
