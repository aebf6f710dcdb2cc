"""Every parser and pattern takes linear time, whatever it is fed."""
