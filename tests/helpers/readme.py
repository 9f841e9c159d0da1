"""README, or another page, as tests read it: its blocks of code and its commands."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str = TEXT) -> list[list[str]]:
    """Return the words of each command."""
    joined = "\n".join(blocks("bash", text)).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


def run_command() -> list[str]:
    """Return the words of the command that runs the main job: a program and its arguments."""
    line = next(words for words in commands() if "pip" in words[:1])
    after_install = line[line.index("&&") + 1 :]
    if after_install[:2] != ["uv", "run"]:
        raise ValueError(f"README's run command is not uv run PROGRAM: {after_install}")
    return after_install[2:]
