"""How much a model's predictions heed the output of each layer's attention.

The Kullback-Leibler divergence of predictions that a small change makes is, to second order, half
the Fisher information along the change. That is the mean square of the change's product with the
gradient of a label's log-likelihood, where labels are drawn from the model's own predictions.
"""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen


def label_gradients(
    decoder: Decoder, batches: Sequence[TokenBatch], *, draws: int, seed: int = 0
) -> list[list[Tensor]]:
    """Return gradients of drawn labels' log-likelihood at the outputs of all attentions.

    The gradient at a token is that of all labels at once, its own and those of later tokens. Labels
    are drawn independently, so that the mean square of its product with a change is the
    information that the predictions of all tokens have on it.

    Memory: what a backward pass through one batch keeps, and on the CPU ``L`` tensors of
    ``draws`` times the batches' hidden states.

    Parameters
    ----------
    decoder : Decoder
        Of the source.
    batches : sequence of TokenBatch
        Calibration text.
    draws : int
        Labels drawn for each token.
    seed : int
        Of the draws.

    Returns
    -------
    list of list of Tensor, shape (draws, N, d)
        For each layer and batch, at its ``N`` real tokens; on the CPU.
    """
    gradients: list[list[Tensor]] = [[] for _ in range(decoder.num_layers)]
    generator = torch.Generator().manual_seed(seed)
    with frozen(decoder.model), torch.enable_grad():
        for batch in batches:
            of_batch = _of_batch(decoder, batch, draws, generator)
            for layer, gradient in enumerate(of_batch):
                gradients[layer].append(gradient)
    return gradients


def _of_batch(
    decoder: Decoder, batch: TokenBatch, draws: int, generator: torch.Generator
) -> list[Tensor]:
    probes: list[Tensor] = []

    def probe(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        probes.append(torch.zeros_like(output, requires_grad=True))
        return output + probes[-1]

    with ExitStack() as hooks:
        for layer in range(decoder.num_layers):
            handle = decoder.output_projection(layer).register_forward_hook(probe)
            hooks.callback(handle.remove)
        logits = decoder.model(input_ids=batch.token_ids, use_cache=False).logits
    log_p = logits[batch.is_real].float().log_softmax(-1)  # (N, V)
    chances = log_p.detach().exp().cpu()
    drawn: list[list[Tensor]] = [[] for _ in probes]
    for draw in range(draws):
        labels = torch.multinomial(chances, 1, generator=generator).to(log_p.device)
        total = log_p.gather(1, labels).sum()
        found = torch.autograd.grad(total, probes, retain_graph=draw + 1 < draws)
        for of_layer, gradient in zip(drawn, found, strict=True):
            rows = gradient.reshape(*batch.is_real.shape, -1)[batch.is_real]
            of_layer.append(rows.cpu())
    return [torch.stack(of_layer) for of_layer in drawn]
