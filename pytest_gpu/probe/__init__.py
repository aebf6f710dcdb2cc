"""The program that runs on nodes: reads files, runs commands, asks NVML; errors are answers, too.

It is sent as one zipapp and runs on whatever Python a node has: it uses the syntax and standard
library of Python 3.6, and nothing else but the module pynvml.
"""
