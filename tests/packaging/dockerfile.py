"""Reads a Dockerfile: instructions, one tuple each, with continued lines joined and comments left out."""

import re
from pathlib import Path
from typing import NamedTuple

DOCKERFILE = Path(__file__).parents[2] / "packaging/docker/Dockerfile"


class Instruction(NamedTuple):
    word: str
    text: str


def instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines) + "\n")
    return [Instruction(*line.split(" ", 1)) for line in joined.splitlines()]


def stages(text: str) -> list[list[Instruction]]:
    """The instructions of each FROM."""
    result: list[list[Instruction]] = []
    for instruction in instructions(text):
        if instruction.word == "FROM":
            result.append([])
        result[-1].append(instruction)
    return result
