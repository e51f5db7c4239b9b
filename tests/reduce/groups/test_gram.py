import numpy as np
import pytest

from qcqa.errors import RunError
from qcqa.reduce.groups.gram import gram_of_heads, load_grams, save_grams


def test_inner_products_of_heads():
    heads = np.random.default_rng(0).normal(size=(5, 3, 7)).astype(np.float32)
    gram = gram_of_heads(heads)
    assert gram.dtype == np.float64
    np.testing.assert_allclose(gram, np.einsum("ida,jda->ij", heads, heads), rtol=1e-5, atol=1e-4)


def test_the_total_stacks_keys_and_values(random_grams):
    for layer in random_grams:
        np.testing.assert_array_equal(layer.total, layer.key + layer.value)
        assert layer.num_heads == 8
    assert random_grams.trace == pytest.approx(sum(np.trace(x.total) for x in random_grams.layers))


def test_grams_come_back_from_their_file_bit_for_bit(random_grams, tmp_path):
    path = tmp_path / "grams.safetensors"
    save_grams(random_grams, path)
    again = load_grams(path)
    assert again.spec == random_grams.spec
    assert again.fingerprint == random_grams.fingerprint
    for before, after in zip(random_grams, again, strict=True):
        np.testing.assert_array_equal(before.key, after.key)
        np.testing.assert_array_equal(before.value, after.value)
    assert [file.name for file in tmp_path.iterdir()] == ["grams.safetensors"]


@pytest.mark.parametrize("content", [None, b"", b"not a safetensors file"])
def test_what_is_no_gram_file_is_refused(content, tmp_path):
    path = tmp_path / "grams.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError):
        load_grams(path)
