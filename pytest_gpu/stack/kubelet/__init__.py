"""The kubelet: which runtime it uses, and whether it can be reached."""
