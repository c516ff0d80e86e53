"""What versions may be called: numbers as semver.org counts them, tags, names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import versions
from core.errors import InvalidInput
from core.versions import Semver

numbers = st.builds(Semver, *[st.integers(0, 999_999_999)] * 3)


@given(numbers, numbers)
def test_a_number_is_read_as_it_is_written_and_compared_number_by_number(one: Semver, two: Semver) -> None:
    assert versions.semver(str(one)) == one
    assert (one < two) == ((one.major, one.minor, one.patch) < (two.major, two.minor, two.patch))
    assert one.next() > one and one.next().patch == 0


def test_the_order_is_that_of_semver_org() -> None:
    """https://semver.org, §11: 1.0.0 < 2.0.0 < 2.1.0 < 2.1.1; §9 and §2: no leading zeros."""
    order = ["1.0.0", "1.9.0", "1.10.0", "1.11.0", "2.0.0", "2.1.0", "2.1.1"]
    assert sorted(map(versions.semver, reversed(order))) == [versions.semver(each) for each in order]


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2", "1.2.3.4", "01.1.1", "1.01.1", "1.1.01", "v1.2.3", "1.2.3-beta", "1.2.3+a", "1.2.-3",
     " 1.2.3", "1.2.3\n", "١.٢.٣", "1.2.1000000000"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no version number"):
        versions.semver(text)


tag = st.text(st.characters(categories=["Lu", "Ll", "Nd"]) | st.sampled_from("-_.:"), min_size=1, max_size=40)


@given(st.lists(tag, max_size=20))
def test_tags_are_kept_once_each_in_order_whatever_order_they_come_in(given_tags: list[str]) -> None:
    try:
        kept = versions.tags(given_tags)
    except InvalidInput:  # its one way of writing may be longer than it came
        return
    assert kept == versions.tags(reversed(kept)) == versions.tags([*kept, *given_tags])
    assert list(kept) == sorted(set(kept)) and len(kept) <= len(given_tags)


@given(st.text(min_size=1).filter(lambda text: any(sign in text.strip() for sign in " ,/\0\n#")))
def test_a_tag_with_another_sign_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no tag"):
        versions.tags([text])


def test_too_much_is_refused_with_the_limit() -> None:
    assert versions.tags([]) == () and versions.tags(["日本語", "naïve"]) == ("naïve", "日本語")
    with pytest.raises(InvalidInput, match="is no tag"):
        versions.tags(["x" * 41])
    with pytest.raises(InvalidInput, match="20 tags; 21 are given"):
        versions.tags([str(n) for n in range(21)])
    with pytest.raises(InvalidInput, match="2001 characters"):
        versions.description("x" * 2_001)
    with pytest.raises(InvalidInput, match="cannot be stored"):
        versions.description("a\0b")


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "-a", "a b", "x" * 101, "é"])
def test_what_is_no_name_of_a_model_is_refused(name: str) -> None:
    assert versions.model_name("veritrain-theme-1") == "veritrain-theme-1"
    with pytest.raises(InvalidInput, match="is no name of a model"):
        versions.model_name(name)
