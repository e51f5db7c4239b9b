"""Inside a plan: its groups, and what each layer costs."""
