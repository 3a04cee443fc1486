"""The judge of the fault campaigns must itself be right: it is held beside trying every order."""

import random

from linearize import Operation, brute, check, read, refused, state_of, write


def operation(start, end, step, what=""):
    return Operation(start, end, step, what)


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
        operations.append(operation(start, end, step, f"{('write', 'read', 'refused')[kind]} {changes}"))
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
