"""Which plan is taken: the best method, at a budget, or all along a front."""
