"""How much work single layers are fitted and measured with; less text, the larger a model is.

Loads no torch, so that what a search will take can be told without.
"""

#: Tokens of one batch: of a step of a refit, and of what is measured at a time.
BATCH_TOKENS = 1024
#: One batch in so many is measured on; the others are fitted to.
MEASURED_EVERY = 4
#: Labels that are drawn for each token, where rises are foretold.
DRAWS = 2
#: Steps of a layer's refit where layers are only ranked, over a hundred times.
SEARCH_STEPS = 20

#: Steps of a layer's refit for a plan: at most, and at least.
_MOST_STEPS, _LEAST_STEPS = 200, 40
#: Operations at most: of a pass over all that is read, of one over what a divergence is measured
#: on, and of a step for each layer, where that were the whole model's.
_READ_OPERATIONS, _EXACT_OPERATIONS, _STEPS_OPERATIONS = 3.4e12, 3e11, 3.4e13
#: Batches that are read at least; and at most, where layers are only ranked.
_LEAST_READ, _MOST_RANKED = 8, 16

#: Hidden states of all layers are kept where they are no more than that; else those of one.
MOST_STATES_BYTES = 2 * 2**30


def read_batches(num_weights: int) -> int:
    """Return how many batches are read to fit the layers of a plan, or to measure all rises."""
    return max(_LEAST_READ, _batches(_READ_OPERATIONS, num_weights))


def ranked_batches(num_weights: int) -> int:
    """Return how many batches a search reads to fit and to measure single layers, at most."""
    return min(_MOST_RANKED, read_batches(num_weights))


def exact_batches(num_weights: int) -> int:
    """Return on how many of them the divergence of a change is measured, at most."""
    return max(1, _batches(_EXACT_OPERATIONS, num_weights))


def plan_steps(num_weights: int) -> int:
    """Return how many steps the refit of a plan's layers takes, each."""
    asked = int(_STEPS_OPERATIONS / (6 * num_weights * BATCH_TOKENS))
    return min(_MOST_STEPS, max(_LEAST_STEPS, asked))


def _batches(operations: float, num_weights: int) -> int:
    return int(operations / (2 * num_weights * BATCH_TOKENS))
