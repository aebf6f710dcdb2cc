"""Tests that start real components; those that cannot run here are left out with a message.

The fixture ``lab_cluster`` (conftest.py) gives a real Kubernetes cluster made on this machine from
Debian's packages alone: ``cluster.py`` says what it holds, ``node.py`` what can be done to a node.
"""
