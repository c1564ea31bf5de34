"""Pascal VOC: one XML file for each image.

Pixels count from 1 and a box includes the pixels of both of its corners, as the VOC development kit
defines it: `xmin ymin xmax ymax` is the region from (xmin - 1, ymin - 1) to (xmax, ymax).
Classes have no ids: their names are numbered in the order of `labels.txt` or `classes.txt`, if the
dataset has one, then in alphabetical order. `difficult` is `ignore`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from cornernet.data import checks
from cornernet.data.checks import Issue, Section
from cornernet.data.directories import visible
from cornernet.data.formats.exact import box_from_voc
from cornernet.data.images import IMAGE_SUFFIXES
from cornernet.data.paths import ImageFinder
from cornernet.data.text import read_lines
from cornernet.errors import UserError


class _Refused(Exception):
    """The XML declares an entity, or is no annotation of Pascal VOC."""


def read_voc(
    source: Path, directory: Path, finder: ImageFinder, root: Path
) -> tuple[dict[str, list[Any]], list[Issue]]:
    """The annotations of a split as COCO's sections, not checked yet, and files that are broken.

    Args:
        source: a list of images, as in `ImageSets/Main`, or `directory` for all of its files.
        directory: where the XML files are.
        finder: finds the image files.
        root: the data directory.

    Raises:
        UserError: the list cannot be read.
    """
    files = _listed(source, directory) if source != directory else visible(directory, "*.xml")
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    section = Section("files", list(files), ())
    found: list[tuple[str, list[dict[str, Any]]]] = []
    names: set[str] = set()
    for file in files:
        try:
            tree = parse_xml(file)
        except (OSError, ValueError, expat.ExpatError, _Refused) as error:
            reason = getattr(error, "strerror", None) or error
            text = f"{file}: expected an annotation in XML, found '{reason}'"
            section.add(checks.UNREADABLE, file.name, text)
            continue
        content["images"].append(_image(file, tree, finder))
        objects = [_object(item) for item in tree.findall("object")]
        found.append((file.stem, objects))
        names |= {item["name"] for item in objects if item["name"]}
    ids = {name: label for label, name in enumerate(_in_order(names, root), 1)}
    content["categories"] = [{"id": label, "name": name} for name, label in ids.items()]
    for image_id, (stem, objects) in enumerate(found, 1):
        for place, item in enumerate(objects, 1):
            entry = {"id": f"{stem}.xml:{place}", "image_id": image_id}
            entry["category_id"] = ids.get(item.pop("name"))
            content["annotations"].append(entry | item)
    for image_id, entry in enumerate(content["images"], 1):
        entry["id"] = image_id
    return content, section.issues()


def _in_order(names: set[str], root: Path) -> list[str]:
    for file in ("labels.txt", "classes.txt"):
        if (root / file).is_file():
            listed = filter(None, read_lines(root / file))
            return list(dict.fromkeys([*listed, *sorted(names)]))
    return sorted(names)


def parse_xml(path: Path) -> Element:
    """The root of an XML file that declares no entities.

    Entities are how a small file makes a parser read other files or fill the memory; annotations
    need none.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise _Refused("a declaration of an entity")

    parser.EntityDeclHandler = refuse
    parser.Parse(path.read_bytes(), True)
    tree: Element = builder.close()
    if tree.tag != "annotation":
        advice = (
            ": an export of CVAT's own; export the dataset as COCO"
            if tree.find("image") is not None
            else ""
        )
        raise _Refused(f"<{tree.tag}> for <annotation>{advice}")
    return tree


def _listed(source: Path, directory: Path) -> list[Path]:
    """The XML files of a list with one stem in each line."""
    try:
        lines = list(filter(None, read_lines(source)))
    except OSError as error:
        raise UserError(
            f"{source}: expected a list of images, got the system's error "
            f"'{error.strerror or error}'; check the file and its permissions"
        ) from None
    found = []
    for line in lines:
        # Lists of a class have -1, 0 or 1 behind the stem; but stems may have blanks, too.
        for name in (line, line.split()[0]):
            stem = _without_suffix(Path(name.replace("\\", "/")).name)
            path = directory / f"{stem}.xml"
            if os.path.isfile(path):  # which refuses no name
                break
        found.append(path)
    return list(dict.fromkeys(found))


def _without_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in (*IMAGE_SUFFIXES, ".xml") else name


def _text(element: Element | None, *path: str) -> str:
    """The text below an element; "" if there is none."""
    for name in path:
        element = None if element is None else element.find(name)
    return "" if element is None else (element.text or "").strip()


def _image(file: Path, root: Element, finder: ImageFinder) -> dict[str, Any]:
    """COCO's entry of the image."""
    name = _text(root, "filename")
    spellings = [name] if name else []
    spellings += [file.stem + suffix for suffix in IMAGE_SUFFIXES]
    spellings += [file.stem + suffix.upper() for suffix in IMAGE_SUFFIXES]
    file_name = next((name for name in spellings if finder.find(name) is not None), spellings[0])
    width, height = (_text(root, "size", key) for key in ("width", "height"))
    return {"file_name": file_name, "width": width, "height": height}


def _object(item: Element) -> dict[str, Any]:
    corners = [_text(item, "bndbox", key) for key in ("xmin", "ymin", "xmax", "ymax")]
    bbox = box_from_voc(corners) or corners[:3]  # not a box, which the checks will say
    return {"name": _text(item, "name"), "bbox": bbox, "ignore": _text(item, "difficult")}
