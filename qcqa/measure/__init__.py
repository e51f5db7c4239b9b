"""Measured quality, closeness, speed and memory of models, source or converted.

Nothing is downloaded unless a task of the Hub is asked for.
"""
