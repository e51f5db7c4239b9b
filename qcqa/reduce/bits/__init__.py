"""Fewer bits: keys and values kept as small integers, with scales for groups of elements."""
