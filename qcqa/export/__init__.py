"""A plan becomes a folder, and a machine shows that it can make one."""
