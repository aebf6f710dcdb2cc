"""The program that runs on nodes: reads files, runs commands, asks NVML; every trouble an answer.

It travels as one zipapp and meets whatever Python a node has: syntax and standard library of
Python 3.6, and nothing else but the module pynvml.
"""
