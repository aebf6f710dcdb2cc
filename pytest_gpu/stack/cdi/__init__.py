"""The CDI specs of a node, and the devices that containers ask for."""
