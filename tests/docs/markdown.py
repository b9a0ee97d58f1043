"""Reads the commands out of Markdown pages: fenced `sh` blocks, the comments before them, and code spans."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_COMMENT = re.compile(r"<!-- (not run|setup|example): (.+?) -->")
_SPAN = re.compile(r"`(imgc [^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
REPOSITORY_PATH = re.compile(r"(recipes|configs|docs|docs_tools|evals|calibration_data|tests|compress)/[a-z0-9_./-]*")
_SEPARATORS = {"&&", "||", "|", ";", "&"}


@dataclass(frozen=True)
class Block:
    """A fenced block of shell commands; `comments` is kind -> text of the HTML comments right before it."""

    page: Path
    line: int
    text: str
    comments: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return page:line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return each command as words: lines joined at a backslash, split at && and |, without redirections."""
        return [command for line in self.text.replace("\\\n", " ").splitlines() for command in split_line(line)]


def split_line(line: str) -> list[list[str]]:
    """Return the commands of one line; variables before a command and redirections behind it are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    commands: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if word in _SEPARATORS:
            commands.append([])
        elif word in (">", ">>", "<"):
            skip = True
        elif skip:
            skip = False
        elif commands[-1] or not re.match(r"[A-Z_]+=", word):
            commands[-1].append(word)
    return [command for command in commands if command]


def blocks_of(page: Path) -> list[Block]:
    """Return the `sh` blocks of a page, top to bottom."""
    found: list[Block] = []
    comments: dict[str, str] = {}
    inside: list[str] | None = None
    language, start = "", 0
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.startswith("```"):
            if inside is None:
                inside, language, start = [], line[3:].strip(), number
            else:
                if language in ("sh", "bash", "shell", "console"):
                    found.append(Block(page, start, "\n".join(inside), comments))
                inside, comments = None, {}
        elif inside is not None:
            inside.append(line)
        elif match := _COMMENT.fullmatch(line.strip()):
            if match[1] != "example":  # that one is about the whole page
                comments = {**comments, match[1]: match[2]}
        elif line.strip():
            comments = {}
    return found


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def spans_of(page: Path) -> list[str]:
    """Return the code spans that begin with `imgc `."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose_of(page))]


def paths_of(page: Path) -> list[str]:
    """Return the paths of this repository that code spans and comments name.

    Left out are those with a placeholder in capitals, and those with the word of an `<!-- example: WORD -->`.
    """
    text = prose_of(page)
    examples = [word for kind, word in _COMMENT.findall(text) if kind == "example"]
    reasons = " ".join(reason for _, reason in _COMMENT.findall(text)).split()
    named = [*re.findall(r"`([^`\s]+)`", text), *(word.strip(".,;") for word in reasons)]
    paths = [name for name in named if REPOSITORY_PATH.fullmatch(name)]
    return [path for path in paths if not any(word in path for word in examples)]


def links_of(page: Path) -> list[str]:
    """Return the targets of links and images that are files of this repository."""
    targets = [one or other for one, other in _LINK.findall(prose_of(page))]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]
