"""What a text says of a model: tokens, second moments, measured rises, refitted attention.

A calibration text is only read, never predicted against: the source model is the teacher. It must
not be the text on which plans are evaluated.
"""
