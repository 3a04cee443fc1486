"""The judge of global databases under fault must itself be right: it is shown histories with every fault, and without."""

from database_history import History, Listed, Loss, Turn, Written, judge

MS = 10**6
FIRST = Turn(1, 1, 0, "NONE")
SWITCH = Turn(2, 2, 1, "SWITCHOVER")
FAILOVER = Turn(2, 2, 1, "FAILOVER_AUTOMATIC")


def row(number, at, timeline=1, outcome="acknowledged", lasts=1, server="east"):
    """Sent at that millisecond; its transaction is 1000 more than its number."""
    return Written(1, number, at * MS, (at + lasts) * MS, outcome, timeline, 1000 + number, server)


def problems(rows, there, turns=(FIRST,), losses=(), timeline=None, synchronous=False):
    return judge(History(list(rows), {(1, number): 1 for number in there}, list(turns), list(losses),
                         timeline or turns[-1].timeline, synchronous))


def loss(*numbers, exact=True, at=10, transactions=None):
    listed = [Listed(1000 + number, at * MS) for number in numbers]
    return Loss(2, exact, len(numbers) if transactions is None else transactions, len(numbers), listed)


def test_nothing_is_wrong_where_nothing_happened():
    assert not problems([row(1, 1), row(2, 2)], [1, 2])


def test_a_switchover_that_loses_nothing_is_no_fault():
    assert not problems([row(1, 1), row(2, 5, 2, server="west")], [1, 2], [FIRST, SWITCH])


def test_an_old_writer_must_not_acknowledge_what_is_sent_after_the_new_one_s_first():
    found = problems([row(1, 1), row(2, 5, 2, server="west"), row(3, 7)], [1, 2, 3], [FIRST, SWITCH])
    assert len(found) == 1 and "two writers" in found[0]


def test_an_answer_that_was_on_its_way_is_no_second_writer():
    assert not problems([row(1, 4, lasts=4), row(2, 5, 2, server="west")], [1, 2], [FIRST, SWITCH])


def test_a_timeline_has_one_server():
    assert "timeline 1 was written at east and west" in problems([row(1, 1), row(2, 2, server="west")], [1, 2])


def test_a_row_that_a_switchover_loses_is_a_fault():
    found = problems([row(1, 10), row(2, 50, 2, server="west")], [2], [FIRST, SWITCH], [loss(1)])
    assert len(found) == 1 and "lost without a failover (SWITCHOVER)" in found[0]


def test_a_row_that_is_lost_while_nothing_changes_is_a_fault():
    assert any("lost without a failover (nothing changed)" in one for one in problems([row(1, 1), row(2, 2)], [2]))


def test_what_a_failover_loses_must_be_listed():
    rows = [row(1, 10), row(2, 50, 2, server="west")]
    assert not problems(rows, [2], [FIRST, FAILOVER], [loss(1)])
    assert any("1 of 1 lost rows are in no list" in one for one in problems(rows, [2], [FIRST, FAILOVER]))


def test_a_failover_in_synchronous_mode_loses_nothing():
    found = problems([row(1, 10), row(2, 50, 2, server="west")], [2], [FIRST, FAILOVER], [loss(1)], synchronous=True)
    assert any("lost in synchronous mode" in one for one in found)


def test_what_is_listed_must_not_be_there():
    found = problems([row(1, 10), row(2, 50, 2, server="west")], [1, 2], [FIRST, FAILOVER], [loss(1)])
    assert any("listed as lost in epoch 2, and there" in one for one in found)


def test_what_is_listed_is_a_row_that_somebody_sent():
    unknown = row(1, 10, outcome="unknown")
    assert not problems([unknown], [], [FIRST, FAILOVER], [loss(7)])
    assert any("lists 2 transactions that no client acknowledged" in one for one in
               problems([unknown], [], [FIRST, FAILOVER], [loss(7, 8)]))


def test_the_same_number_at_another_time_is_another_transaction():
    rows = [row(1, 10), row(2, 50, 2, server="west")]
    assert any("in no list" in one for one in problems(rows, [2], [FIRST, FAILOVER], [loss(1, at=900)]))


def test_a_loss_must_become_exact_and_count_its_list():
    assert any("is not exact" in one for one in problems([row(1, 1)], [1], [FIRST, FAILOVER], [loss(exact=False)]))
    assert any("says 3 transactions, its list 0" in one for one in
               problems([row(1, 1)], [1], [FIRST, FAILOVER], [loss(transactions=3)]))


def test_rows_are_there_once_and_were_sent():
    history = History([row(1, 1), row(2, 2, outcome="refused")], {(1, 1): 2, (1, 2): 1, (1, 9): 1}, [FIRST], [], 1)
    assert [one.split(":")[0] for one in judge(history)] == [
        "1 rows are twice", "1 rows are there, though refused", "1 rows are there, and never sent"]


def test_a_row_of_a_term_that_was_passed_over_is_lost_by_the_failover_after_it():
    """The writer of timeline 2 dies, and the one of timeline 3 never followed it."""
    turns = [FIRST, SWITCH, Turn(3, 3, 1, "FAILOVER_AUTOMATIC")]
    rows = [row(1, 10), row(2, 50, 2, server="west"), row(3, 100, 3, server="south")]
    assert not problems(rows, [1, 3], turns, [loss(2, at=50)])


def test_a_loss_that_an_operator_accepted_is_none_of_synchronous_mode():
    accepted = Turn(2, 2, 1, "FAILOVER")
    rows = [row(1, 10), row(2, 50, 2, server="west")]
    assert not problems(rows, [2], [FIRST, accepted], [loss(1)], synchronous=True)
    assert any("in no list" in one for one in problems(rows, [2], [FIRST, accepted], synchronous=True))


def bounded(rows, there, turns=(FIRST,), losses=(), starved=(), readers_lived=False):
    return judge(History(list(rows), {(1, number): 1 for number in there}, list(turns), list(losses), turns[-1].timeline,
                         bound_ns=500 * MS, bounded_timeline=1, starved=[(begin * MS, end * MS) for begin, end in starved],
                         readers_lived=readers_lived))


def test_a_bounded_writer_that_hears_of_no_reader_acknowledges_for_less_than_the_bound():
    assert not bounded([row(1, 10), row(2, 110), row(3, 600)], [1, 2, 3], starved=[(100, 2000)])
    found = bounded([row(1, 10), row(2, 110), row(3, 620)], [1, 2, 3], starved=[(100, 2000)])
    assert len(found) == 1 and "for 509.0 ms at least, and the bound is 500 ms" in found[0]


def test_what_a_bounded_writer_acknowledges_once_it_hears_again_is_no_fault():
    assert not bounded([row(1, 110), row(2, 1990, lasts=30)], [1, 2], starved=[(100, 2000)])


def test_a_bounded_writer_s_successor_has_readers_of_its_own():
    rows = [row(1, 110), row(2, 800, 2, server="west")]
    assert not bounded(rows, [1, 2], [FIRST, SWITCH], starved=[(100, 2000)])


def test_a_failover_to_a_reader_that_lived_loses_what_the_bound_allows():
    rows = [row(1, 100), row(2, 500), row(3, 800), row(4, 2000, 2, server="west")]
    few, many = loss(2, 3, at=500), loss(1, 2, 3, at=500)
    for one in (few, many):
        one.listed = [Listed(listed.transaction, next(r.sent for r in rows if r.transaction == listed.transaction))
                      for listed in one.listed]
    assert not bounded(rows, [1, 4], [FIRST, FAILOVER], [few], readers_lived=True)
    assert not bounded(rows, [4], [FIRST, FAILOVER], [many])
    assert any("rows were lost that had been acknowledged for 699.0 ms" in one for one in
               bounded(rows, [4], [FIRST, FAILOVER], [many], readers_lived=True))
