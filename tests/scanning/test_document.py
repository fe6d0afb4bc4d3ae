"""Lines and offsets of a text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from erasetest.scanning.document import MAX_LINE_LENGTH, Document


def test_every_kind_of_line_break_ends_a_line_and_keeps_its_place() -> None:
    text = "one\r\ntwo \rthree\n\nfive"
    document = Document.of("a.py", text)
    assert [(document.number_of(line), line.text) for line in document.lines] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
        (4, ""),
        (5, "five"),
    ]
    assert "".join(text[line.start : line.end] for line in document.lines) == text


def test_a_form_feed_or_a_unicode_separator_ends_no_line() -> None:
    assert len(Document.of("a.py", "one\ftwo\u2028three\x85four").lines) == 1


def test_a_line_that_is_too_long_is_separate_and_at_no_position() -> None:
    document = Document.of("a.js", "one\n" + "x" * (MAX_LINE_LENGTH + 1) + "\nthree\n")
    assert [document.number_of(line) for line in document.lines] == [1, 3]
    assert [document.number_of(line) for line in document.long_lines] == [2]
    assert document.line_at(10) is None
    last = document.line_at(len(document.text) - 1)
    assert last is not None
    assert document.number_of(last) == 3


@given(st.text(alphabet="ab \r\n\f\x85\u2028", max_size=40))
def test_the_line_at_a_position_is_the_one_that_contains_it(text: str) -> None:
    document = Document.of("a.py", text)
    for position in range(-1, len(text) + 1):
        holding = [line for line in document.lines if line.start <= position < line.end]
        assert [document.line_at(position)] == (holding or [None])
    assert [document.number_of(line) for line in document.lines] == list(
        range(1, len(document.lines) + 1)
    )


def test_a_position_past_the_end_is_in_no_line() -> None:
    assert Document.of("a.py", "one").line_at(3) is None
    assert Document.of("a.py", "").line_at(0) is None


def test_nothing_of_the_text_is_shown() -> None:
    document = Document.of("a.py", "token-of-somebody\n")
    assert "somebody" not in repr(document) + repr(document.lines[0])
