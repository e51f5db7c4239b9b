"""What was measured: quality, closeness, speed, memory and texts."""
