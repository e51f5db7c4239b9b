"""What a checkpoint is: its geometry, where its family keeps tensors, and reading them.

Nothing here loads torch or transformers, but what opens a model to run it. ``architectures/`` says
where each family keeps its keys and values.
"""
