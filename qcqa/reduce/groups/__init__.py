"""Heads that share one head: what that loses by the weights, and the merges that make it."""
