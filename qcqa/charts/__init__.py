"""Tables and figures, for the dashboard, the command line and exported files alike."""
