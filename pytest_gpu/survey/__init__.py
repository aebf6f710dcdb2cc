"""What a visit asks a node, round by round."""
