"""The judge of the fault campaigns must itself be right: it is held beside trying every order, and must find what is wrong in
histories of a real daemon whose answers were stale, or are changed by hand.
"""

import random
import threading
import time

from controls import Arc
from fleet import Client
from linearize import Operation, brute, check, read, refused, state_of, write
from process import wait_for
from switches import Board, Hand


def operation(start, end, step, what="", pure=False):
    return Operation(start, end, step, what, pure)


def at_most_one(values):
    return list(values.values()).count("On") <= 1


OFF = state_of({"a": "Off", "b": "Off"})


def test_a_read_of_what_was_written_before_is_right():
    assert check([operation(0, 1, write({"a": "On"})), operation(2, 3, read({"a": "On"}))], OFF) is None


def test_a_read_of_what_was_overwritten_before_it_began_is_wrong():
    found = check([operation(0, 1, write({"a": "On"})), operation(2, 3, read({"a": "Off"}), "the read")], OFF)
    assert found is not None and "the read" in found


def test_a_read_during_a_write_may_give_either():
    for value in ("On", "Off"):
        assert check([operation(0, 3, write({"a": "On"})), operation(1, 2, read({"a": value}))], OFF) is None


def test_two_reads_may_not_go_back():
    reads = [operation(1, 2, read({"a": "On"})), operation(3, 4, read({"a": "Off"}), "the second")]
    assert check([operation(0, 5, write({"a": "On"})), *reads], OFF) is not None


def test_half_of_a_change_is_never_seen():
    assert check([operation(0, 5, write({"a": "On", "b": "On"})),
                  operation(1, 2, read({"a": "On", "b": "Off"}))], OFF) is not None


def test_what_never_ended_may_have_happened_or_not():
    lost = operation(0, None, write({"a": "On"}))
    assert check([lost, operation(10, 11, read({"a": "On"}))], OFF) is None
    assert check([lost, operation(10, 11, read({"a": "Off"}))], OFF) is None
    assert check([lost, operation(10, 11, read({"a": "On"})), operation(12, 13, read({"a": "Off"}))], OFF) is not None


def test_a_refusal_needs_its_reason():
    change = {"b": "On"}
    done = operation(0, 1, write({"a": "On"}, at_most_one))
    assert check([done, operation(2, 3, refused(change, at_most_one))], OFF) is None
    assert check([operation(2, 3, refused(change, at_most_one))], OFF) is not None


def random_history(random_source):
    operations = []
    for _ in range(random_source.randint(2, 6)):
        start = random_source.randint(0, 8)
        end = None if random_source.random() < 0.15 else start + random_source.randint(0, 4)
        changes = {name: random_source.choice(["On", "Off"]) for name in random_source.sample("ab", random_source.randint(1, 2))}
        kind = random_source.randrange(3)
        step = (write(changes, at_most_one), read(changes), refused(changes, at_most_one))[kind]
        pure = kind != 0 and random_source.random() < 0.5  # saying so is allowed, and changes no verdict
        operations.append(operation(start, end, step, f"{('write', 'read', 'refused')[kind]} {changes}", pure))
    return operations


def test_random_histories_are_judged_as_by_trying_every_order():
    source = random.Random(7)
    verdicts = set()
    for _ in range(1500):
        history = random_history(source)
        right = brute(history, OFF)
        verdicts.add(right)
        assert (check(history, OFF) is None) == right, [(o.start, o.end, o.what) for o in history]
    assert verdicts == {True, False}


# ---- histories of a daemon ----

class Stale(Client):
    """Reads as from a replica that is behind: what was there a while ago."""

    def __init__(self, daemon):
        super().__init__(daemon)
        self.seen = []

    def listed(self, panel=None):
        self.seen.append((time.monotonic(), super().listed()))
        return next(seen for when, seen in reversed(self.seen) if when <= time.monotonic() - 0.05 or seen is self.seen[0][1])

    def state(self, control):
        return self.listed()[control]


def play(daemon, last):
    """What four hands do and see on one daemon, the last of them through `last`."""
    board = Board(Arc(daemon))
    bits = [board.control(name) for name in "abcd"]
    board.rule("one-on", bits[:2], "ATLEAST", 1)
    hands = [Hand(board, f"hand {at}", random.Random(at), [last(daemon) if at == 3 else Client(daemon)], pause=0.002) for at in range(4)]
    threads = [threading.Thread(target=hand.run) for hand in hands]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(len(hand.operations) for hand in hands) > 200, 10, "enough was done")
    for hand, thread in zip(hands, threads):
        hand.stop.set()
        thread.join()
    assert not [problem for hand in hands for problem in hand.unexpected]
    return [operation for hand in hands for operation in hand.operations]


def test_what_a_daemon_answers_is_one_operation_after_the_other(daemon):
    assert check(play(daemon, Client), 0) is None


def test_stale_reads_are_found(daemon):
    assert "reads" in check(play(daemon, Stale), 0)


def test_an_answer_that_was_another_is_found(daemon):
    """Each of some answers in turn is taken to have been another: what only fits where the true one does not."""
    operations = play(daemon, Client)
    pure = [one for one in operations if one.pure][::7]

    def changed(true):
        another = Operation(true.start, true.end, lambda state: state if true.step(state) is None else None, "another answer", True)
        return [*(one for one in operations if one is not true), another]
    found = [check(changed(one), 0) for one in pure]
    assert sum(one is not None for one in found) > len(pure) / 4, found  # some fit between operations beside them


def test_a_change_that_was_not_done_is_found(daemon):
    operations = play(daemon, Client)
    changes = [one for one in operations if not one.pure]
    found = [check([other for other in operations if other is not one], 0) for one in changes]
    assert sum(one is not None for one in found) > len(changes) / 10, found  # many change nothing
