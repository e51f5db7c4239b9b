"""Fronts, and the plans of a budget beside each other."""
