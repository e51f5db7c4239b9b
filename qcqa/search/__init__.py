"""The search itself: from Gram matrices to candidate groupings and fronts; the home of pymoo."""
