"""Windows of files that become samples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from erasetest.scanning.document import MAX_LINE_LENGTH, Document, Finding
from erasetest.scanning.sample_windows import (
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    MAX_WHOLE_FILE,
    Window,
    split_into_windows,
)

LINE = "value = compute(value) + 1\n"


def plant(*parts: str) -> tuple[Document, list[Finding]]:
    """Return a document of the parts and its secrets, the parts that begin with `!`."""
    text, secrets = "", []
    for part in parts:
        if part.startswith("!"):
            secrets.append(Finding(len(text), len(text) + len(part), "password"))
        text += part
    return Document.of("a.py", text), secrets


def windows(*parts: str) -> tuple[str, list[Window]]:
    document, secrets = plant(*parts)
    return document.text, list(split_into_windows(document, secrets))


def test_a_small_file_is_one_sample_as_it_is() -> None:
    text, (window,) = windows(LINE, "x = '", "!one", "'\n", LINE, "!two")
    assert (window.start, window.end) == (0, len(text))
    assert len(window.secrets) == 2


def test_a_file_without_secrets_gives_none() -> None:
    assert windows(LINE * 500)[1] == []


def test_a_large_file_is_cut_at_line_breaks_around_its_secrets() -> None:
    text, (window,) = windows(LINE * 300, "x = '", "!one", "'\n", LINE * 300)
    first = window.secrets[0]
    assert text[window.start - 1] == text[window.end - 1] == "\n"
    assert CONTEXT_BEFORE - len(LINE) <= first.start - window.start <= CONTEXT_BEFORE
    assert CONTEXT_AFTER <= window.end - first.end <= CONTEXT_AFTER + len(LINE)


def test_secrets_near_each_other_are_in_one_sample_and_far_ones_are_not() -> None:
    _, found = windows(LINE * 100, "!one", "\n", LINE * 20, "!two", "\n", LINE * 200, "!three\n")
    assert [len(window.targets) for window in found] == [2, 1]


def test_a_secret_in_the_context_of_the_next_window_is_named_there_too() -> None:
    _, found = windows(LINE * 100, "!one", "\n", LINE * 65, "!two", "\n", LINE * 100)
    assert [len(window.targets) for window in found] == [1, 1]
    assert [len(window.secrets) for window in found] == [1, 2]


def test_a_long_secret_before_is_never_split() -> None:
    key = "!" + ("k" * 64 + "\n") * 45
    text, found = windows(LINE * 100, key, LINE * 10, "x = '", "!two", "'\n", LINE * 100)
    assert [len(window.secrets) for window in found] == [1, 2]
    assert text[found[1].start : found[1].secrets[0].end] == key


def test_a_line_that_was_not_scanned_is_in_no_window() -> None:
    long = "y" * (MAX_LINE_LENGTH + 1) + "\n"
    text, found = windows(LINE, "!one\n", LINE, long, LINE, "!two\n", LINE, long, LINE)
    assert len(found) == 2
    assert all("yy" not in text[window.start : window.end] for window in found)
    assert text[found[1].start : found[1].end] == LINE + "!two\n" + LINE


def test_a_window_within_one_line_is_cut_within_it() -> None:
    text, (window,) = windows("x" * 5_000, "!one", "y" * 4_000)
    assert text[window.start : window.end] == "x" * CONTEXT_BEFORE + "!one" + "y" * CONTEXT_AFTER


PARTS = st.lists(
    st.one_of(
        st.integers(1, 90).map(lambda count: LINE * count),
        st.integers(1, 2500).map(lambda count: "z" * count),
        st.integers(1, 3000).map(lambda count: "!" + "s" * count),
        st.just("!" + "m\n" * 700),
        st.just("\r\n"),
        st.just("\n" + "y" * (MAX_LINE_LENGTH + 1) + "\n"),
    ),
    max_size=14,
)


@given(PARTS)
def test_every_secret_is_in_a_window_and_none_is_split(parts: list[str]) -> None:
    document, secrets = plant(*parts)
    secrets = [secret for secret in secrets if not _touches_long_line(document, secret)]
    found = list(split_into_windows(document, secrets))
    assert [secret for window in found for secret in window.targets] == secrets
    for window in found:
        assert set(window.targets) <= set(window.secrets)
        inside = [s for s in secrets if s.start < window.end and window.start < s.end]
        assert list(window.secrets) == inside
        assert all(window.start <= s.start and s.end <= window.end for s in inside)
        if len(document.text) > MAX_WHOLE_FILE:
            assert not any(
                line.start < window.end and window.start < line.end for line in document.long_lines
            )


def _touches_long_line(document: Document, secret: Finding) -> bool:
    return any(line.start < secret.end and secret.start < line.end for line in document.long_lines)
