"""Bytes to text, or the reason why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from erasetest.scanning.text_decoding import MAX_FILE_SIZE, Decoded, Unreadable, decode, read_bytes

TEXT = "naïve 🦉 = 1\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_without_its_byte_order_mark(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)) == Decoded(TEXT)


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_both_byte_orders_are_read(mark: str) -> None:
    assert decode(("\ufeff" + TEXT).encode(mark)) == Decoded(TEXT)


def test_other_text_is_read_as_latin1_and_says_so() -> None:
    assert decode("naïve = 1\n".encode("cp1252")) == Decoded("naïve = 1\n", is_guessed=True)


@pytest.mark.parametrize("before", ["", "#!/usr/bin/env python\n"])
def test_a_declared_encoding_is_used_where_it_is_not_utf8(before: str) -> None:
    text = f"{before}# -*- coding: koi8-r -*-\n# привет\n"
    assert decode(text.encode("koi8-r")) == Decoded(text)


@pytest.mark.parametrize("declared", ["koi9", "utf-8", "rot13", "ascii"])
def test_a_declaration_that_cannot_be_is_not_believed(declared: str) -> None:
    text = f"# vim: set fileencoding={declared} :\nnaïve = 1\n"
    assert decode(text.encode("latin-1")) == Decoded(text, is_guessed=True)


@pytest.mark.parametrize("declared", ["unicode_escape", "raw-unicode-escape", "punycode", "idna"])
def test_a_codec_that_is_no_encoding_of_files_is_not_used(declared: str) -> None:
    """Escapes it would undo could hide a NUL or half a surrogate pair."""
    text = f"# coding: {declared}\nnaïve = '\\x00\\ud800'\n"
    assert decode(text.encode("latin-1")) == Decoded(text, is_guessed=True)


def test_a_declaration_below_the_second_line_is_ignored() -> None:
    text = "\n\n# coding: koi8-r\nnaïve = 1\n"
    assert decode(text.encode("latin-1")) == Decoded(text, is_guessed=True)


@pytest.mark.parametrize(
    "data", [b"\x7fELF\0\0\1", b"\x1f\x8b\x08\xff\xfe\xfa", TEXT.encode("utf-32-le")]
)
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="binary"):
        decode(data)


def test_broken_utf16_is_refused() -> None:
    with pytest.raises(Unreadable, match="undecodable"):
        decode(b"\xff\xfea")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "data.py"
    with file.open("wb") as sparse:
        sparse.truncate(MAX_FILE_SIZE + 1)
    with pytest.raises(Unreadable, match="larger than 5 MiB"):
        read_bytes(file)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="not a regular file"):
        read_bytes(tmp_path / "pipe")


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        read_bytes(tmp_path / "gone.py")


def test_text_is_not_shown() -> None:
    assert "🦉" not in repr(decode(TEXT.encode()))
