"""The ways in which a cache is made smaller: a room each."""
