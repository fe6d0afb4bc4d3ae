"""Prefiltering lines loses no finding."""

from __future__ import annotations

import random
import re
import string
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from detect_secrets.core.scan import _is_filtered_out, scan_file
from detect_secrets.settings import default_settings
from detect_secrets.util.code_snippet import get_code_snippet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.errors import BadInput
from erasetest.scanning import detection
from erasetest.scanning.detect_secrets_findings import plugin_findings, plugins_used
from erasetest.scanning.detect_secrets_parts import (
    DENYLIST_REGEX,
    REGEX_BY_FILETYPE,
    RegexBasedDetector,
    get_mapping_from_secret_type_to_class,
)
from erasetest.scanning.detectors import idioms, keywords
from erasetest.scanning.document import MAX_LINE_LENGTH, Document
from erasetest.scanning.prefilter import Prefilter, has_hyperscan
from erasetest.scanning.required_literals import (
    RequiredLiterals,
    fold_to_ascii,
    required_literals_of,
)

ENGINES = [False, pytest.param(True, marks=pytest.mark.skipif(not has_hyperscan(), reason="extra"))]


def of_plugins() -> Iterator[tuple[str, re.Pattern[str]]]:
    for name, plugin in sorted(get_mapping_from_secret_type_to_class().items()):
        if issubclass(plugin, RegexBasedDetector):
            for pattern in plugin().denylist:
                yield name, pattern
    for file_type, patterns in REGEX_BY_FILETYPE.items():
        for pattern in patterns:
            yield f"keywords in {file_type.name}", pattern


PATTERNS = dict.fromkeys(pattern for _, pattern in of_plugins())


@pytest.mark.parametrize(
    ("pattern", "required"),
    [
        ("abc", RequiredLiterals(words=frozenset({"abc"}))),
        ("a(?:b|c)d?x", RequiredLiterals(words=frozenset({"abx", "acx", "abdx", "acdx"}))),
        ("(?i)Api_?Key[0-9]*", RequiredLiterals(words=frozenset({"api_key", "apikey"}))),
        ("[a-z]+abc(?=x)def", RequiredLiterals(words=frozenset({"abcdef"}))),
        ("(?:abc|x[0-9]y)", RequiredLiterals(words=frozenset({"abc", "x"}))),
        ("(?:abc)?d?", None),
        ("a*|b", None),
        ("[0-9]{9}:[A-Z]{25}", RequiredLiterals(runs=frozenset({24}))),
        ("(?:ab[0-9]{40}|cd[a-f]{22})", RequiredLiterals(runs=frozenset({24}))),
        ("[^a]{40}é", None),
    ],
)
def test_literals_are_those_that_every_match_contains(
    pattern: str, required: RequiredLiterals | None
) -> None:
    assert required_literals_of([re.compile(pattern)]) == required


def test_without_literals_of_each_pattern_there_are_none() -> None:
    assert required_literals_of([re.compile("abc"), re.compile("a*")]) is None
    assert required_literals_of([]) is None


def test_every_character_that_matches_a_letter_is_folded_to_it() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    lower = fold_to_ascii(everything).lower()
    assert len(lower) == len(everything)
    for letter in string.ascii_lowercase:
        for match in re.finditer(letter, everything, re.IGNORECASE):
            assert lower[match.start()] == letter


def test_every_pattern_of_detect_secrets_has_required_literals() -> None:
    without = {name for name, pattern in of_plugins() if required_literals_of([pattern]) is None}
    assert without == set()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("hyperscan", ENGINES)
@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    deadline=None,
)
@given(data=st.data())
def test_a_line_that_a_pattern_matches_contains_its_literals(
    pattern: re.Pattern[str], hyperscan: bool, data: st.DataObject
) -> None:
    text = "".join(re.split(r"[\r\n]", data.draw(st.from_regex(pattern))))
    before = data.draw(st.text(st.sampled_from("aZ0 é🦉\n"), max_size=5))
    document = Document.of("a.py", f"{before}\n{text[:MAX_LINE_LENGTH]}\r\nnext é\n")
    (lines,) = Prefilter([required_literals_of([pattern])], hyperscan=hyperscan).lines(document)
    for line in document.lines:
        if pattern.search(line.text):
            assert line in lines


@pytest.mark.parametrize("pattern", [DENYLIST_REGEX, idioms.NAME])
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_every_name_of_a_password_contains_a_required_word(
    pattern: str, data: st.DataObject
) -> None:
    name = data.draw(st.from_regex(re.compile(pattern, re.IGNORECASE), fullmatch=True))
    assert any(word in fold_to_ascii(name).lower() for word in keywords.REQUIRED.words)


@pytest.mark.parametrize("hyperscan", ENGINES)
@example(text="a\ra\nb\n", words={"a"}, run=20)
@given(
    text=st.text(st.sampled_from("abK\u212a\u017fs_-09é🦉\r\n \ud800"), max_size=120),
    words=st.sets(st.text(st.sampled_from("abks_"), min_size=1, max_size=3), max_size=4),
    run=st.sampled_from([20, 24, 32]),
)
@settings(deadline=None, max_examples=60)
def test_lines_are_those_that_contain_the_literals(
    hyperscan: bool, text: str, words: set[str], run: int
) -> None:
    shape = "[abs]{3}"
    required = [
        RequiredLiterals(words=frozenset(words)),
        RequiredLiterals(runs=frozenset({run})),
        RequiredLiterals(shapes=frozenset({shape})),
        RequiredLiterals(frozenset(words), frozenset({run}), frozenset({shape})), None,
    ]  # fmt: skip
    document = Document.of("a.py", text)
    found = Prefilter(required, hyperscan=hyperscan).lines(document)
    containing = [
        [
            line
            for line in document.lines
            if any(w in fold_to_ascii(line.text).lower() for w in words)
        ],
        [line for line in document.lines if re.search(rf"[\w-]{{{run}}}", line.text)],
        [line for line in document.lines if re.search(shape, fold_to_ascii(line.text))],
    ]
    of_any = [line for lines in containing for line in lines]
    for lines, expected in zip(found, [*containing, of_any, document.lines], strict=True):
        assert list(lines) == sorted(set(lines), key=lambda line: line.start)
        assert set(expected) <= set(lines) <= set(document.lines)
    assert list(found[0]) == containing[0]


def filtered_as_detect_secrets_does(path: str, text: str) -> set[tuple[str, str, int]]:
    """Prefiltered findings of its plugins, through its filters."""
    document = Document.of(path, text)
    lines = text.splitlines(keepends=True)
    plugins = plugins_used()
    kept = set()
    for line, kind, masked in plugin_findings(document):
        number, value = document.number_of(line), masked.reveal()
        context = get_code_snippet(lines=lines, line_number=number)
        given = {"filename": path, "line": line.text, "context": context}
        secret = {"secret": value, "plugin": plugins[kind]}
        if not (
            _is_filtered_out(["filename"], filename=path)
            or _is_filtered_out(["line"], **given)
            or _is_filtered_out(["secret"], filename=path, line=line.text, **secret)
            or _is_filtered_out(["context"], **given, **secret)
        ):
            kept.add((kind, value, number))
    return kept


def test_findings_of_its_plugins_are_those_of_scan_file(tmp_path: Path) -> None:
    rng = random.Random(5)
    sources = sorted(Path(random.__file__).parent.glob("*.py"))
    found = 0
    with default_settings():
        for number in range(12):
            lines = rng.choice(sources).read_text("utf-8").splitlines()[:400]
            for kind, generate in sorted(GENERATORS.items()):
                value = generate(rng).replace("\n", "\\n")
                lines.insert(rng.randrange(len(lines)), f'{kind.replace("-", "_")} = "{value}"')
            lines += [
                "password = 'k7Qm2vXw9'  # pragma: allowlist secret",
                "x = 'AKIA'  # \u017fecret",
            ]
            path = tmp_path / f"{number}.py"
            text = "\n".join(lines) + "\n"
            path.write_text(text, encoding="utf-8")
            theirs = {(s.type, s.secret_value, s.line_number) for s in scan_file(str(path))}
            assert filtered_as_detect_secrets_does(str(path), text) == theirs
            found += len(theirs)
    assert found > 60


class HouseToken(RegexBasedDetector):
    secret_type = "House Token"
    denylist = (re.compile(r"house_[0-9]{6}"),)


def _with_entry(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = EntryPoint("house", value, detection.ENTRY_POINTS)
    monkeypatch.setattr(detection, "entry_points", lambda group: [entry])
    for cached in (detection.ranked_detectors, detection.prefiltered_detectors):
        monkeypatch.setattr(detection, cached.__name__, cached.__wrapped__)


def test_a_plugin_of_a_user_is_a_detector_and_precedes_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _with_entry(monkeypatch, f"{__name__}:HouseToken")
    text = 'password = "house_' + '491734"'
    (finding,) = detection.find_secrets(Document.of("a.py", text))
    assert (finding.kind, text[finding.start : finding.end]) == ("house-token", text[12:24])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere_at_all:X", r"house \(nowhere_at_all:X\) cannot be loaded: ModuleNotFoundError"),
        ("string:digits", r"house \(string:digits\) is neither an erasetest Detector nor a detect"),
    ],
)
def test_an_invalid_detector_of_a_user_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    _with_entry(monkeypatch, value)
    with pytest.raises(BadInput, match=message):
        detection.find_secrets(Document.of("a.py", "x"))
