"""Whether a history of concurrent operations on one object could have been one after the other.

    check(operations, initial)      None, or a sentence about the first operation that cannot be placed

An operation has a start, an end, and a step: step(state) gives the state after it, or None when the operation, with the result
that the client saw, is impossible in that state. An operation whose outcome the client never learned has no end: it may have
happened at any time after its start, or never. One that never changes the state, a read or a refusal, says so (pure). States are
hashable.

The search goes through calls and returns in order of time and keeps all configurations (state, operations placed but not returned
yet) that explain what was seen so far: linearization "just in time" (G. Lowe, Testing for linearizability, 2017). Its cost grows
with the operations that overlap. Two things keep it small. A pure operation is placed as soon as the state allows it, which costs
nothing later. And operations without an end are taken not to have happened, then one of them to have, then two, and so on: mostly
few have. Still, check a history between two moments of quiet.
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
    pure: bool = False


def check(operations, initial):
    operations = [operation for operation in operations if operation.end is not None or not operation.pure]
    unknown = sum(operation.end is None for operation in operations)
    for most in [*[few for few in (0, 1, 2, 4, 8, 16) if few < unknown], unknown]:
        problem = search(operations, initial, most)
        if problem is None:
            break
    return problem


def search(operations, initial, most):
    """check, with at most so many of the operations without an end."""
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
            if operation.pure:
                configurations = {settled(state, placed, [operation]) for state, placed in configurations}
            continue
        configurations = returned(configurations, pending, operation, most)
        pending.discard(operation)
        if not configurations:
            return f"{operation.what} (from {operation.start:.6f} to {operation.end:.6f}) fits nowhere"
    return None


def settled(state, placed, pure):
    """The configuration with these pure operations placed, where they fit."""
    return state, placed | {operation for operation in pure if operation not in placed and operation.step(state) is not None}


def returned(configurations, pending, operation, most):
    """The configurations in which the operation has been placed, without it."""
    seen = set(configurations)
    queue = list(configurations)
    found = set()
    pure = [other for other in pending if other.pure]
    writes = [other for other in pending if not other.pure]
    while queue:
        state, placed = queue.pop()
        if operation in placed:
            found.add((state, placed - {operation}))
            continue
        full = sum(other.end is None for other in placed) >= most
        for other in writes:
            if other in placed or (full and other.end is None):
                continue
            after = other.step(state)
            following = None if after is None else settled(after, placed | {other}, pure)
            if following is not None and following not in seen:
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
