"""What a node says about itself: pure functions from evidence to facts."""
