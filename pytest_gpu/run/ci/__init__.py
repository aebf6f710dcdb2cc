"""What CI systems read of a run: JUnit."""
