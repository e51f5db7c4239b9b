"""Mutated files of every format: each is read, or refused in one line, within its budget."""
