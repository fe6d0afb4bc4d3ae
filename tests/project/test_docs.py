"""The documentation: its links, and the paths, commands and options that it names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from pytest_erasetest.options import OPTIONS

from erasetest.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def without_blocks(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub derives them."""
    found: set[str] = set()
    for heading in HEADING.findall(without_blocks(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (anchor if not number else f"{anchor}-{number}") in found:
            number += 1
        found.add(anchor if not number else f"{anchor}-{number}")
    return found


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command in a page's `sh` blocks."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.split(r"&&|\|\||\||;", line):
                    words = shlex.split(command, comments=True)
                    if words:
                        yield words


def command_options() -> dict[str, set[str]]:
    """Return the options of each command of `erasetest`."""
    group = typer.main.get_command(app)
    return {
        name: {flag for param in command.params for flag in [*param.opts, *param.secondary_opts]}
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }


@BY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file of the repository, and a heading of it after `#`."""
    for target in LINK.findall(without_blocks(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def test_every_page_is_listed() -> None:
    """`docs/index.md` links each page of `docs/`."""
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link).resolve() for link in LINK.findall(index.read_text())}
    assert {page for page in PAGES if "docs" in page.parts} - {index} <= listed


def test_the_glossary_is_in_alphabetical_order() -> None:
    """And defines each term once."""
    terms = re.findall(r"^### (.*)$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert terms == sorted(set(terms), key=str.casefold)


@BY_PAGE
def test_files_that_are_named_exist(page: Path) -> None:
    """Each code span that begins with a folder of the repository and ends with a suffix."""
    spans = re.findall(r"`([^`\n]+)`", without_blocks(page))
    folders = ("erasetest", "plugins", "suites", "tests", "benchmarks", "downstream", "docs")
    for span in spans:
        if span.startswith(tuple(f"{folder}/" for folder in folders)) and "NAME" not in span:
            assert list(ROOT.glob(span.rstrip("/"))), f"{page.name}: {span}"


@BY_PAGE
def test_commands_and_options_exist(page: Path) -> None:
    """Of each command line in an `sh` block: `erasetest COMMAND`, and pytest's options of ours."""
    commands, ours = command_options(), {option.flag for option in OPTIONS}
    for words in shell_lines(page):
        program = Path(words[0]).name
        flags = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
        if program == "erasetest":
            assert words[1] in commands, words
            if words[1] != "gate":
                assert flags <= commands[words[1]], words
        if program == "pytest" or words[:2] == ["erasetest", "gate"]:
            stems = ("--clm", "--leak", "--erase", "--utility")
            assert {flag for flag in flags if flag.startswith(stems)} <= ours, words


def test_every_option_of_pytest_is_in_the_reference() -> None:
    """One row for each."""
    rows = (ROOT / "docs" / "reference" / "options.md").read_text()
    named = re.findall(r"^\| `(--[a-z-]+)", rows, re.MULTILINE)
    assert named == [option.flag for option in OPTIONS]


def test_every_command_and_option_is_in_the_reference() -> None:
    """A section for each command; the options of loading a CLM are listed once for all."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    head, *sections = re.split(r"^## erasetest ", page, flags=re.MULTILINE)
    by_name = {section.split("\n", 1)[0]: section for section in sections}
    commands = command_options()
    assert by_name.keys() == commands.keys()
    for name, flags in commands.items():
        for flag in {flag for flag in flags if flag.startswith("-")} - {"--help"}:
            # A default of False has a second option, which need not be shown.
            if not flag.startswith("--no-"):
                shown = head if flag.startswith("--clm") else by_name[name]
                assert f"`{flag}" in shown, f"{name} {flag}"
    for name, section in by_name.items():
        for flag in re.findall(r"`(--[a-z][a-z-]*)", section):
            assert flag in commands[name] or flag.startswith("--clm"), f"{name} {flag}"


@BY_PAGE
def test_lines_are_wrapped(page: Path) -> None:
    """At 100 characters, but for tables, links and commands that cannot be broken.

    Pages that are generated have the lines of their source.
    """
    if page.name in ("api.md", "report.md"):
        return
    for number, line in enumerate(without_blocks(page).splitlines(), 1):
        if not line.startswith("|") and "](" not in line:
            assert len(line) <= 100, f"{page.name}:{number}"


def test_pages_that_code_names_exist() -> None:
    """In docstrings, comments and messages."""
    for folder in ("erasetest", "plugins", "suites", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            for page in re.findall(r"docs/[\w/-]+\.md", file.read_text(encoding="utf-8")):
                assert (ROOT / page).is_file(), f"{file}: {page}"
