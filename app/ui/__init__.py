"""Pieces that the dashboard's pages are made of."""
