"""Rounds: nodes broken in many ways, judged, repaired."""
