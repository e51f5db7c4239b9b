"""Tables and figures: the same ones for the dashboard, the command line and exported pages."""
