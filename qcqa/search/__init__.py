"""From a model to fronts: the methods, the strategies that they run, and what a search takes."""
