"""What is foretold of a change is what it is measured to lose, where it is small."""

import numpy as np
import pytest
import torch

from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.text.batches import make_batches
from qcqa.text.bits_rises import BitsMeter
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.fisher import label_gradients
from qcqa.text.known_rises import KnownRises
from qcqa.text.source_reading import SourceReading


@pytest.fixture
def last_tokens(batches):
    """One batch of windows without padding."""
    return batches[-1]


@torch.no_grad()
def _divergence(model, batch, layer, change):
    """Divergence in nats per window when a layer's attention says something else at the end."""
    wanted = model(input_ids=batch.token_ids).logits[:, -1].log_softmax(-1)

    def add(_module, _args, output):
        output = output.reshape(*batch.token_ids.shape, -1).clone()
        output[:, -1] += change
        return output

    handle = Decoder(model).output_projection(layer).register_forward_hook(add)
    got = model(input_ids=batch.token_ids).logits[:, -1].log_softmax(-1)
    handle.remove()
    return (wanted.exp() * (wanted - got)).sum(-1)


def test_half_the_mean_square_along_a_small_change_is_its_divergence(model, last_tokens):
    draws = 600
    gradients = label_gradients(Decoder(model), [last_tokens], draws=draws)
    assert len(gradients) == 3
    num_windows, length = last_tokens.token_ids.shape
    torch.manual_seed(1)
    for layer, (gradient,) in enumerate(gradients):
        assert gradient.shape == (draws, num_windows * length, 32)
        change = 0.01 * torch.randn(num_windows, 32)
        wanted = _divergence(model, last_tokens, layer, change)
        at_end = gradient.reshape(draws, num_windows, length, 32)[:, :, -1]
        foretold = (at_end * change).sum(-1).square().mean(dim=0) / 2
        assert float(foretold.mean()) == pytest.approx(float(wanted.mean()), rel=0.15)


def test_gradients_are_the_same_again_and_leave_the_model_as_it_was(model, batches):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other = (label_gradients(Decoder(model), batches[:2], draws=2) for _ in range(2))
    for first, then in zip(one, other, strict=True):
        for gradient, again in zip(first, then, strict=True):
            torch.testing.assert_close(gradient, again, rtol=0, atol=0)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_attention_alone_is_that_of_the_whole_layer(model, batches):
    decoder = Decoder(model)
    with torch.no_grad(), frozen(model):
        hidden = decoder.embed(batches[0].token_ids)
        seen = []
        handle = decoder.output_projection(1).register_forward_hook(
            lambda _module, args, output: seen.append((args[0], output))
        )
        decoder.step(1, hidden)
        handle.remove()
        made = decoder.attend(1, hidden)
    read, output = seen[0]
    torch.testing.assert_close(made.read, read.reshape(made.read.shape))
    torch.testing.assert_close(made.output, output.reshape(hidden.shape))


@pytest.fixture
def telling(model):
    """A model that looks at few tokens, and says what it saw: what is lost of them is no noise."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def test_bits_are_foretold_as_they_are_measured(telling, batches, tmp_path):
    reading = SourceReading(telling, batches, is_fitted_to=False)
    path = tmp_path / "foretold.jsonl"
    meter = BitsMeter(reading, foreknown=KnownRises(path))
    ladders = [Ladder(((bits, None),), block=8, group=4) for bits in (8, 4, 3)]
    for layer in range(3):
        for role in ("key", "value"):
            # First, so that nothing rests on what was measured.
            foretold = meter.foretold(layer, role, ladders)
            measured = meter(layer, role, ladders)
            assert (np.diff(foretold) > 0).all()
            # What errors of several tokens do together is not foretold.
            np.testing.assert_allclose(np.log(foretold / measured), 0, atol=np.log(3))
    again = BitsMeter(reading, foreknown=KnownRises(path)).foretold(2, "value", ladders)
    assert again.tolist() == foretold.tolist()


def test_what_is_measured_on_a_part_is_told_of_all(telling):
    rng = np.random.default_rng(0)
    windows = [rng.integers(3, 64, size=24, dtype=np.int32) for _ in range(256)]
    batches = make_batches(windows, batch_tokens=96)
    ladder = Ladder(((4, None),), block=8, group=4)
    all_of_it, part = (
        BitsMeter(SourceReading(telling, batches, is_fitted_to=False, most_exact=most))
        for most in (None, 4)
    )
    for layer in (2, 0):
        wanted = all_of_it(layer, "value", [ladder])[0]
        assert part(layer, "value", [ladder])[0] == pytest.approx(wanted, rel=0.2)
