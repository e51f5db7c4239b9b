"""What a plan says, what it costs, its file, and what budgets and GPUs allow."""
