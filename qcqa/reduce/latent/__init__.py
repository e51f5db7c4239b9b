"""A site of a layer in fewer dimensions than its heads have: what is cached is a latent."""
