"""What every container runtime of a kubelet has in common, whichever program it is."""
