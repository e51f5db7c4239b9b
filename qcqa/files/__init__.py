"""The disk: paths that users name, folders to write into, locks, files that nobody sees half of."""
