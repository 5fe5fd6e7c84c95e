"""Read the project's documents: their sections, tables and fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
#: Every text that users read.
TEXTS = [README, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
#: Documents with commands that a reader types.
TYPED = [README, DOCS / "http.md", DOCS / "own-classes.md", DOCS / "webhooks.md"]


def blocks(language: str, *paths: Path) -> list[str]:
    """Return the contents of the fenced blocks in this language."""
    text = "".join(path.read_text() for path in paths)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(path: Path, title: str) -> str:
    """Return the text under a second-level heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{path.name} has no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table in `text`, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(path: Path) -> str:
    """Return the text with every run of white space as one blank."""
    return " ".join(path.read_text().split())
