"""The demo: a corpus of small stories and the small language model trained on it."""
