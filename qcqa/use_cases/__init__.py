"""One function per thing that a user does; command line, worker and Python API call these."""
