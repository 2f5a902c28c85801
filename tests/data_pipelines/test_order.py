"""Properties of the order of crops, over all data sets, readers and batches."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.order import SHUFFLE_CROPS, Order, Token

shard_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=8).map(tuple)


def readers_of(sizes, readers, batch_size, crops, seed=0):
    return [
        Order(
            shard_sizes=sizes,
            reader=reader,
            readers=readers,
            batch_size=batch_size,
            crops_per_record=crops,
            seed=seed,
        )
        for reader in range(readers)
    ]


def records(order, epoch):
    """Return the reader's (shard, record) for each of its crops."""
    tokens = order.tokens(epoch)
    return list(order.locate(epoch, [token.position for token in tokens]))


@settings(max_examples=60, deadline=None)
@given(shard_sizes, st.integers(1, 24), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_no_record_comes_twice_in_an_epoch_and_readers_deliver_equally(sizes, readers, batch_size, crops, epoch):
    orders = readers_of(sizes, readers, batch_size, crops)
    delivered = [records(order, epoch) for order in orders]
    assert {len(crops) for crops in delivered} == {orders[0].batches_per_epoch * batch_size}
    if sum(sizes) // readers * crops < batch_size:
        return
    count = Counter(place for places in delivered for place in places)
    assert max(count.values()) <= crops
    owners = [set(places) for places in delivered]
    assert sum(len(owner) for owner in owners) == len(set.union(*owners))
    rest = sum(sizes) * crops - sum(count.values())
    assert rest < readers * (batch_size + 2 * crops)


@settings(max_examples=60, deadline=None)
@given(shard_sizes, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3))
def test_every_record_comes_once_where_nothing_is_left_over(sizes, readers, batch_size, crops, epoch):
    unit = readers * batch_size
    sizes = (*sizes, unit - sum(sizes) % unit)
    orders = readers_of(sizes, readers, batch_size, crops)
    count = Counter(place for order in orders for place in records(order, epoch))
    assert count == {(shard, record): crops for shard, size in enumerate(sizes) for record in range(size)}


@given(shard_sizes, st.integers(0, 5), st.integers(0, 5))
def test_the_order_is_a_pure_function(sizes, epoch, seed):
    (one,), (other,) = (readers_of(sizes, 1, 2, 2, seed) for _ in range(2))
    assert one.tokens(epoch) == other.tokens(epoch)
    assert records(one, epoch) == records(other, epoch)


def test_epochs_and_seeds_differ_and_crops_are_shuffled():
    (order,) = readers_of((50, 50), 1, 4, 1)
    (other,) = readers_of((50, 50), 1, 4, 1, seed=1)
    assert len({tuple(records(order, epoch)) for epoch in range(4)} | {tuple(records(other, 0))}) == 5
    positions = [token.position for token in order.tokens(0)]
    assert positions != sorted(positions)


def test_a_single_shard_does_not_always_leave_out_the_same_records():
    (order,) = readers_of((10,), 1, 7, 1)
    assert len({place for epoch in range(20) for place in records(order, epoch)}) == 10


def test_too_few_records_come_again_with_other_crops():
    (order,) = readers_of((2,), 1, 8, 1)
    tokens = order.tokens(0)
    assert Counter(order.locate(0, [token.position for token in tokens])) == {(0, 0): 4, (0, 1): 4}
    assert len({order.crop_offset(0, token, 10**6) for token in tokens}) == 8


def test_the_shuffle_holds_a_bounded_number_of_crops():
    (order,) = readers_of((5000,), 1, 1, 1)
    tokens = order.tokens(0)
    first = min(tokens).position
    assert max(token.position - first - turn for turn, token in enumerate(tokens)) <= SHUFFLE_CROPS


def test_offsets_cover_the_room_and_stay_in_it():
    (order,) = readers_of((1,), 1, 1, 1)
    offsets = {order.crop_offset(0, Token(position, 0), 3) for position in range(100)}
    assert offsets == {0, 1, 2, 3}
    assert order.crop_offset(0, Token(0, 0), 0) == 0
