"""Models that cache shared heads only, live and on disk.

``travelling/`` is the code that runs them, here and on machines without this library.
"""
