"""Runs and their jobs: what they were asked, take and have found."""
