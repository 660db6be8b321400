"""Whether a resource is of the form that Kubernetes, or the operator that reads it, takes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import kubernetes_validate
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.deployment.charts import Document

# The oldest that the chart asks for (Chart.yaml), one that many run, and the newest that is known.
KUBERNETES: Final = ("1.30", "1.33", "1.37")
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "map": {"type": "object", "additionalProperties": {"type": "string"}},
}
_METADATA: Final = {"name!": "string", "labels": "map", "annotations": "map"}


def wrong_forms(documents: Sequence[Document]) -> Iterator[str]:
    """Yield what is wrong with resources: a field that is misspelt, of another type, missing."""
    for document in documents:
        name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
        schema = _custom().get(document.get("kind", ""))
        if schema is not None:
            for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
                yield f"{name}: {error.json_path}: {error.message}"
            continue
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name}, Kubernetes {version}: {error.json_path}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{name}: {error.message}"


@functools.cache
def _custom() -> dict[str, dict[str, Any]]:
    path = Path(__file__).with_name("custom_resources.yaml")
    shapes: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))
    return {
        kind: _schema({**shape, "kind!": kind, "metadata!": _METADATA})
        for kind, shape in shapes.items()
    }


def _schema(shape: object) -> dict[str, Any]:
    match shape:
        case dict():
            return {
                "type": "object",
                "properties": {name.rstrip("!"): _schema(one) for name, one in shape.items()},
                "required": [name.rstrip("!") for name in shape if name.endswith("!")],
                "additionalProperties": False,
            }
        case [one]:
            return {"type": "array", "items": _schema(one)}
        case str():
            return _TYPES.get(shape) or {"enum": shape.split("|")}
        case _:
            raise TypeError(shape)
