from __future__ import annotations

import threading

import pytest

from core.chores import AT_ONCE, Chore, Chores


def test_none_is_forgotten_and_a_turn_does_only_a_little() -> None:
    done: list[int] = []
    chores = Chores([Chore(str(n), lambda n=n: done.append(n), 60.0) for n in range(7)])  # type: ignore[misc]
    for turn in range(4):
        chores.turn()
        assert len(done) == min(AT_ONCE * (turn + 1), 7)
    chores.turn()
    assert sorted(done) == list(range(7)), "each once in a minute"


def test_none_is_done_at_the_cost_of_another() -> None:
    done: list[str] = []
    chores = Chores([Chore(name, lambda name=name: done.append(name), 0.0) for name in "abc"])  # type: ignore[misc]
    for _ in range(6):
        chores.turn()
    assert min(map(done.count, "abc")) >= 3, "though all are due in every turn"


def test_one_that_fails_holds_up_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("broken")

    chores = Chores([Chore("bad", fail, 60.0), Chore("good", lambda: done.append("good"), 60.0)])
    with pytest.raises(ValueError, match="broken"):
        chores.turn()
    chores.turn()
    assert done == ["good"]


def test_one_that_rests_is_done_again_when_there_is_news() -> None:
    done: list[str] = []
    news = 1
    chores = Chores(
        [
            Chore("follows", lambda: done.append("follows"), 0.0, rest_seconds=60.0),
            Chore("looks", lambda: done.append("looks"), 0.0),
        ],
        lambda: news,
    )
    for _ in range(3):
        chores.turn()
    assert done.count("follows") == 1 and done.count("looks") == 3
    news = 2
    chores.turn()
    assert done.count("follows") == 2
    blind = Chores([Chore("follows", lambda: done.append("blind"), 0.0, rest_seconds=60.0)])
    for _ in range(3):
        blind.turn()
    assert done.count("blind") == 3, "where nobody knows what is new"


def test_one_that_is_done_aside_is_never_done_twice_at_once() -> None:
    begun: list[int] = []
    over = threading.Event()

    def slow() -> None:
        begun.append(1)
        over.wait(10)

    chores = Chores([Chore("slow", slow, 0.0, aside=True)])
    for _ in range(3):
        chores.turn()
    assert begun == [1]
    over.set()
    chores.join(10)
    chores.turn()
    chores.join(10)
    assert begun == [1, 1]


def test_news_that_come_while_one_is_done_aside_are_not_forgotten() -> None:
    seen: list[int] = []
    over = threading.Event()
    news = 1

    def slow() -> None:
        seen.append(news)
        over.wait(10)

    chores = Chores([Chore("slow", slow, 0.0, aside=True, rest_seconds=60.0)], lambda: news)
    chores.turn()
    news = 2
    chores.turn()
    over.set()
    chores.join(10)
    chores.turn()
    chores.join(10)
    assert seen == [1, 2]
