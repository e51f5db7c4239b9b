"""Heads that share a subspace: what one shared head keeps of a group, and what is lost.

A merge by the mean asks heads to be alike. They need not be: a change of basis between a head and
the shared head goes into the query (for keys) or into the output projection (for values), and only
what lies outside the shared head's subspace is lost. Both the ``svd`` merge and the fitness
``output-error`` stand on the few functions here, so that the error which a search states is the
error which the merge makes. Everything is numpy in float64: searches do not load torch.
"""
