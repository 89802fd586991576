"""The order in which the operations of a bulk request are done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scim.bulk import in_order


def test_operations_keep_their_order_but_for_what_they_need() -> None:
    assert in_order([[], [3], [], [], [1]]) == ([0, 3, 1, 2, 4], set())


def test_a_circle_is_found_and_those_outside_of_it_are_not_part_of_it() -> None:
    order, circular = in_order([[1], [2], [1], [], [4]])
    assert (sorted(order), circular) == ([0, 1, 2, 3, 4], {1, 2, 4})


def test_a_chain_may_be_as_long_as_a_request() -> None:
    order, circular = in_order([[index + 1] for index in range(999)] + [[]])
    assert (order, circular) == (list(range(999, -1, -1)), set())


@given(st.lists(st.lists(st.integers(0, 11), max_size=4), min_size=12, max_size=12))
def test_each_comes_once_and_after_what_it_needs_unless_a_circle_is_in_the_way(needs: list[list[int]]) -> None:
    order, circular = in_order(needs)
    assert sorted(order) == list(range(12))
    if not circular:
        assert all(order.index(need) < order.index(index) for index in range(12) for need in needs[index])
    acyclic = [[need for need in each if need < index] for index, each in enumerate(needs)]
    assert in_order(acyclic)[1] == set()
