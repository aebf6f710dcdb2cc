"""Tests of the plugin, its library and its shipped suite."""
