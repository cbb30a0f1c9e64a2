"""YAML that people write: every value stays the text that it is, and each has a line to name in a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

#: Values of a text with all of its aliases written out: a few lines of them can stand for billions.
_MOST_VALUES: Final = 100_000


class NotYaml(Exception):
    """A text is no YAML.

    Args:
        problem: what is wrong, as the parser says it.
        line: where, counted from 1; ``None`` if that is not known.
    """

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass(frozen=True, slots=True)
class YamlText:
    """A text that was read.

    Args:
        values: lists, mappings and texts.
        tree: the same with places; ``None`` of an empty text.
    """

    values: Any
    tree: yaml.Node | None

    def line(self, path: Sequence[int | str]) -> int:
        """The line, counted from 1, that the last part of a path that exists stands in."""
        node = self.tree
        line = node.start_mark.line if node else 0
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == part), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
        return line + 1

    def repeated(self) -> tuple[str, int] | None:
        """The first name that stands twice in one mapping, and the line where it stands again."""
        return None if self.tree is None else _repeated(self.tree)


def parsed(text: str) -> YamlText:
    """Read YAML, or JSON, which is YAML too.

    Raises:
        NotYaml: it is neither, nests too deep, or has aliases that stand for too much or for themselves.
    """
    try:
        # The base loader keeps every value as it is written: 00123 stays 00123, and a date stays a text.
        tree = yaml.compose(text, Loader=yaml.BaseLoader)
        if tree is not None and _count(tree, {}) > _MOST_VALUES:
            raise NotYaml(f"stands for more than {_MOST_VALUES} values", None)
        values = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (it makes nothing but texts, lists and mappings)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        otherwise = "nests too deep" if isinstance(error, RecursionError) else str(error)
        problem = getattr(error, "problem", None) or otherwise
        raise NotYaml(str(problem), mark.line + 1 if mark else None) from error
    return YamlText(values, tree)


def _count(node: yaml.Node, counted: dict[int, int]) -> int:
    """How many values there are, each alias for as many as it stands for."""
    if id(node) not in counted:
        counted[id(node)] = _MOST_VALUES  # what stands within itself has no end
        below = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
        counted[id(node)] = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(_count(one, counted) for one in below)
    return counted[id(node)]


def _repeated(node: yaml.Node) -> tuple[str, int] | None:
    if isinstance(node, yaml.SequenceNode):
        return next((found for one in node.value if (found := _repeated(one))), None)
    if not isinstance(node, yaml.MappingNode):
        return None
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            return str(key.value), key.start_mark.line + 1
        seen.add(key.value)
        if found := _repeated(value):
            return found
    return None
