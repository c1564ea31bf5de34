"""COCO's format: one JSON file with images, annotations and categories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cornernet.data.checks import quoted
from cornernet.data.parse import KEYS
from cornernet.errors import UserError


def read_coco(path: Path) -> dict[str, list[Any]]:
    """The sections of an annotation file, not checked yet.

    Raises:
        UserError: if the file cannot be read, is not JSON or lacks a section.
    """
    content = _read_json(path)
    return {section: _entries(path, content, section) for section in KEYS}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path}: expected a readable annotation file, got the system's error "
            f"'{error.strerror or error}'; check the file and its permissions"
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: expected JSON, found at line {error.lineno}, column {error.colno}: "
            f"{error.msg}; the file may be truncated or of another kind: replace it"
        ) from None
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: expected JSON, found bytes that are not text; replace the file"
        ) from None
    except (ValueError, RecursionError):  # thousands of digits, or of nested lists
        raise UserError(
            f"{path}: expected annotations, found JSON with a number or a nesting that is too "
            "large to be read; replace the file"
        ) from None
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected a JSON object with the keys {quoted(KEYS)}, found a "
            f"{type(content).__name__}; convert the annotations to COCO's format"
        )
    return content


def _entries(path: Path, content: Mapping[str, Any], section: str) -> list[Any]:
    """A section of an annotation file's content."""
    if section not in content:
        raise UserError(
            f"{path}: expected the keys {quoted(KEYS)}, found no '{section}' among "
            f"{quoted(content)}; convert the annotations to COCO's format"
        )
    entries = content[section]
    if not isinstance(entries, list):
        raise UserError(
            f"{path}: expected '{section}' to be a list, found a {type(entries).__name__}; "
            "convert the annotations to COCO's format"
        )
    return entries
