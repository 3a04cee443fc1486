"""Whether a history of concurrent operations on one object could have been one after the other.

    check(operations, initial)      None, or a sentence about the first operation that cannot be placed

An operation has a start, an end, and a step: step(state) gives the state after it, or None when the operation, with the result
that the client saw, is impossible in that state. An operation whose outcome the client never learned has no end: it may have
happened at any time after its start, or never. States are hashable.

The search goes through calls and returns in order of time and keeps all configurations (state, operations placed but not returned
yet) that explain what was seen so far: linearization "just in time" (G. Lowe, Testing for linearizability, 2017). Its cost grows
with the operations that overlap, so operations without an end should be few: check a history between two moments of quiet.
"""

import dataclasses
import itertools
from typing import Callable, Hashable, Optional

LIMIT = 200_000  # configurations; more says that the history is too wide to be judged


class TooWide(Exception):
    pass


@dataclasses.dataclass(eq=False)
class Operation:
    start: float
    end: Optional[float]
    step: Callable[[Hashable], Optional[Hashable]]
    what: str = ""


def check(operations, initial):
    events = []
    for operation in operations:
        events.append((operation.start, 0, operation))
        if operation.end is not None:
            assert operation.end >= operation.start
            events.append((operation.end, 1, operation))
    # At one instant calls come before returns: operations that touch may have overlapped.
    events.sort(key=lambda event: (event[0], event[1]))
    configurations = {(initial, frozenset())}
    pending = set()
    for _, is_return, operation in events:
        if not is_return:
            pending.add(operation)
            continue
        configurations = returned(configurations, pending, operation)
        pending.discard(operation)
        if not configurations:
            return f"{operation.what} (from {operation.start:.6f} to {operation.end:.6f}) fits nowhere"
    return None


def returned(configurations, pending, operation):
    """The configurations in which the operation has been placed, without it."""
    seen = set(configurations)
    queue = list(configurations)
    found = set()
    while queue:
        state, placed = queue.pop()
        if operation in placed:
            found.add((state, placed - {operation}))
            continue
        for other in pending - placed:
            after = other.step(state)
            following = (after, placed | {other})
            if after is not None and following not in seen:
                seen.add(following)
                queue.append(following)
        if len(seen) > LIMIT:
            raise TooWide(f"more than {LIMIT} ways to order {len(pending)} operations")
    return found


# ---- several switches that change together ----

def state_of(values):
    return tuple(sorted(values.items()))


def write(changes, allowed=lambda values: True):
    """A change of some switches at once that was done; `allowed` judges the state after it."""
    def step(state):
        after = {**dict(state), **changes}
        return state_of(after) if allowed(after) else None
    return step


def refused(changes, allowed):
    """A change that a rule forbade."""
    return lambda state: None if allowed({**dict(state), **changes}) else state


def read(values):
    """A read of some switches at once."""
    return lambda state: state if all(dict(state)[name] == value for name, value in values.items()) else None


def brute(operations, initial):
    """The same question answered by trying every order: for testing the search with small histories."""
    known = [operation for operation in operations if operation.end is not None]
    unknown = [operation for operation in operations if operation.end is None]
    for count in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, count):
            for order in itertools.permutations([*known, *some]):
                if keeps_time(order) and runs(order, initial):
                    return True
    return False


def keeps_time(order):
    return all(later.end is None or later.end >= earlier.start
               for at, earlier in enumerate(order) for later in order[at + 1:])


def runs(order, state):
    for operation in order:
        state = operation.step(state)
        if state is None:
            return False
    return True
