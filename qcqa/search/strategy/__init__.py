"""How fronts are found; it sees what sharing costs, never a checkpoint."""
