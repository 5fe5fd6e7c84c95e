"""Which corrected pictures a training uses, and which of them are held out."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.corrections import Correction
from shared.training.datasets import CIFAR10_LABELS, CorrectedPicture, corrected_pictures, is_held_out

A, B = "a" * 64, "b" * 64


def test_a_picture_of_two_jobs_counts_once():
    both = [Correction("2", "k", B, "cat", B), Correction("1", "k", A, "dog", A), Correction("2", "x", A, "dog", "p")]
    assert corrected_pictures(both) == [CorrectedPicture("2", A, 5, "p"), CorrectedPicture("2", B, 3, B)]


def test_pictures_without_one_known_label_are_left_out():
    contradicted = [Correction("1", "k", A, "dog", A), Correction("2", "k", A, "cat", A)]
    assert corrected_pictures([*contradicted, Correction("1", "x", B, "zebra", B)]) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(CIFAR10_LABELS)), unique_by=lambda pair: pair[0]))
def test_the_order_of_corrections_does_not_matter(pairs):
    found = [Correction("1", str(n), hashlib.sha256(bytes([n])).hexdigest(), label, "p") for n, label in pairs]
    assert corrected_pictures(found) == corrected_pictures(reversed(found))
    assert len(corrected_pictures(found)) == len(found)


def test_a_quarter_is_held_out_by_digest():
    digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(2000)]
    assert 440 < sum(map(is_held_out, digests)) < 560
    assert is_held_out("0000000c" + "f" * 56) and not is_held_out("0000000d" + "f" * 56)
