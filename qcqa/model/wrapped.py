"""Tensor names that hold what a wrapper of the model put into them."""

import re
from collections.abc import Collection, Iterable, Sequence

from qcqa.errors import CheckpointError

#: What torch.compile, parallel training, checkpointing and adapters put before a module's name.
_PIECE = re.compile(
    r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module"
    r"|base_model\.model|module)\."
)
_ADAPTER = re.compile(r"\.(?:base_layer|lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector)\.")


def refuse_wrapped(tensors: Collection[str], wanted: Sequence[str], source: str) -> None:
    """Refuse a model of whose tensors some would have the wanted names, but for a wrapper's part.

    Parameters
    ----------
    tensors : collection of str
        Names of all tensors.
    wanted : sequence of str
        Names any of which would do, and none of which is there.
    source : str
        What error messages call the model.

    Raises
    ------
    CheckpointError
        If there are such tensors; it says what is to be removed from their names.
    """
    adapted = next((name for name in tensors if _ADAPTER.search(name)), None)
    if adapted is not None:
        raise CheckpointError(
            f"{source} holds an adapter that is not merged ({adapted})",
            expected="the weights of a whole model",
            remedy="merge it with peft's merge_and_unload and save the result",
        )
    pieces = _pieces(tensors, wanted)
    if pieces:
        names = " and ".join(repr(piece) for piece in pieces)
        raise CheckpointError(
            f"the names of the tensors of {source} hold {names}, which a wrapper put there",
            expected=wanted[0],
            remedy=f"remove {names} from every name with load_file and save_file of "
            "safetensors.torch, and from the index if there is one; opening it with transformers "
            "as it is would fill in random weights",
        )


def _pieces(tensors: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return what must go from the names, in the order in which it is there."""
    by_length = sorted(wanted, key=len, reverse=True)
    for name in tensors:
        if name in wanted:
            continue  # an index may name what its files do not hold
        pieces = _PIECE.findall(name)
        if _PIECE.sub("", name) in wanted:
            before = "".join(pieces)
            return [before] if name.startswith(before) else list(dict.fromkeys(pieces))
        for ending in by_length:
            if name.endswith(f".{ending}"):
                return [name.removesuffix(ending)]
    return []
