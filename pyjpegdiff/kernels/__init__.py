"""Compiled kernels: their source, and the library that a compiler made of it.

``python -m pyjpegdiff.kernels`` tells whether the library is there, and which instruction set it uses.
"""
