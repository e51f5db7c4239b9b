"""Code that travels beside converted weights: it may import torch, transformers and itself."""
