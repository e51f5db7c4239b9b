import numpy as np

from qcqa.search.strategy.encodings import ChoiceGenes


def test_choices_stay_within_their_candidates():
    rng = np.random.default_rng(0)
    costs = [np.array([2, 4, 8]), np.array([2, 16]), np.array([16])]
    encoding = ChoiceGenes(costs)
    genes = encoding.sample(40, rng)
    assert genes.shape == (40, 3)
    # everything small, and the source itself
    assert [0, 0, 0] in genes.tolist()
    assert [2, 1, 0] in genes.tolist()
    for _ in range(20):
        genes = encoding.mutate(encoding.cross(genes, genes[::-1], rng), 0.5, rng)
        assert (genes >= 0).all()
        assert (genes < encoding.num_candidates).all()
