"""Run directories: the only truth about a search, shared by dashboard and command line."""
