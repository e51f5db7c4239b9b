"""From a calibration text to windows of tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qcqa.errors import CalibrationError
from qcqa.text.windows import encode, evenly, special_prefix

IntArray = NDArray[np.int32]

#: Tokens of a window, unless the model's context is shorter: long enough for heads that look far
#: back, short enough that many different passages fit into a calibration.
DEFAULT_WINDOW_TOKENS = 512
#: Tokens of all windows, unless the text is shorter.
DEFAULT_TOKENS = 32768
#: With fewer tokens there is nothing to learn from.
_FEWEST_TOKENS = 256
#: A window with fewer tokens says little.
_SHORTEST_WINDOW = 4


def calibration_windows(
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[str],
    *,
    max_tokens: int = DEFAULT_TOKENS,
    window_tokens: int = DEFAULT_WINDOW_TOKENS,
) -> tuple[IntArray, ...]:
    """Return windows of token ids, evenly from all of the text.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        The model's; a window begins with its own first tokens (BOS), where it has them.
    documents : sequence of str
        Each is read apart from the others.
    max_tokens : int
        Tokens of all windows together, at most.
    window_tokens : int
        Tokens of a window, at most.

    Returns
    -------
    tuple of arrays, shape (T,)
        ``T`` differs.

    Raises
    ------
    CalibrationError
        If the text is too short.
    """
    prefix = special_prefix(tokenizer)
    room = window_tokens - len(prefix)
    windows = []
    for document in documents:
        ids = encode(tokenizer, document)
        pieces = [ids[start : start + room] for start in range(0, len(ids), room)]
        windows += [(*prefix, *piece) for piece in pieces if len(piece) >= _SHORTEST_WINDOW]
    total = sum(map(len, windows))
    if total < _FEWEST_TOKENS:
        raise CalibrationError(
            f"a calibration text of {total} tokens",
            expected=f"at least {_FEWEST_TOKENS}, better {DEFAULT_TOKENS}",
        )
    keep = min(1.0, max_tokens / total)
    count = max(1, int(keep * len(windows)))
    return tuple(np.array(window, dtype=np.int32) for window in evenly(windows, count))
