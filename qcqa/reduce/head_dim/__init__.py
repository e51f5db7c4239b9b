"""Every head of a site in fewer dimensions of its own, more of them where they hold more."""
