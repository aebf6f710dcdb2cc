"""Lengths of time for people."""

from __future__ import annotations

from datetime import timedelta

_LONG = timedelta(hours=2), timedelta(days=2)


def lasting(time: timedelta) -> str:
    """Return a length of time in the unit that fits it best, rounded down."""
    hours, days = _LONG
    if time < hours:
        return f"{time // timedelta(minutes=1)} min"
    return f"{time // timedelta(hours=1)} h" if time < days else f"{time.days} days"
