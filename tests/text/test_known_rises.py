"""Rises that were measured are known again, also from files of earlier releases."""

import pytest

from qcqa.text.known_rises import KnownRises

GROUPED = ([{"kind": "groups", "groups": [[0, 1], [2, 3]]}], [])
BITS = ("key", {"kind": "bits", "rungs": [[4, None]], "block": 32})


def never(_place):
    pytest.fail("this was measured before")


def test_what_was_measured_is_known_again(tmp_path):
    path = tmp_path / "rises.jsonl"
    rises = {0: 0.5, 1: 0.25}
    assert list(KnownRises(path).of(2, [GROUPED, BITS], rises.__getitem__)) == [0.5, 0.25]
    again = KnownRises(path)
    assert list(again.of(2, [BITS, GROUPED, BITS], never)) == [0.25, 0.5, 0.25]
    # another layer, and another site, are other changes
    assert list(again.of(1, [BITS], lambda _place: 2.0)) == [2.0]
    assert list(again.of(2, [("value", BITS[1])], lambda _place: 3.0)) == [3.0]


def test_a_rise_is_kept_as_soon_as_it_is_measured(tmp_path):
    path = tmp_path / "rises.jsonl"

    def stop_at_the_second(place):
        if place:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        KnownRises(path).of(2, [GROUPED, BITS], stop_at_the_second)
    assert list(KnownRises(path).of(2, [GROUPED], never)) == [0.5]


def test_files_of_earlier_releases_and_half_lines_are_read(tmp_path):
    path = tmp_path / "rises.jsonl"
    path.write_text('[0, [0, 0, 1, 1], [0, 1, 2, 3], 0.125]\n[1, [0, 0, 1, 1], [0\n[]\n"x"\n1\n')
    known = KnownRises(path)
    assert list(known.of(0, [GROUPED], never)) == [0.125]
    assert list(known.of(1, [GROUPED], lambda _place: 1.5)) == [1.5]
    again = KnownRises(path)
    assert [list(again.of(layer, [GROUPED], never)) for layer in (0, 1)] == [[0.125], [1.5]]
