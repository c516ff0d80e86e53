"""Pure. The Parquet files of a job that checks images: what it is given and what it gives back."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from core.quality.measures import NAMES

_MANIFEST: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("image_path", pa.string()),
    pa.field("sha256", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("label_id", pa.int64()),
    pa.field("vector", pa.binary()),
    pa.field("measured", pa.bool_()),
    pa.field("learnt", pa.bool_()),
]
MANIFEST = pa.schema(_MANIFEST)
"""One row a live image, by image id. `vector`: the model's embedding where all have one, else looks; int8.

`learnt`: whether the model whose embeddings these are was trained on the image; NULL with looks.
"""

_RESULT: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("unreadable", pa.bool_()),
    pa.field("look", pa.binary()),
    *(pa.field(name, pa.float64()) for name in NAMES),
    pa.field("guess_id", pa.int64()),
    pa.field("score", pa.float64()),
    pa.field("label_id", pa.int64()),
    pa.field("turn", pa.int32()),
    pa.field("lies_right", pa.float64()),
    pa.field("distance", pa.float64()),
]
RESULT = pa.schema(_RESULT)
"""One row an image that there is something to say of.

`look` and the measures: of an image that had none. `guess_id`, `score` and `label_id`: of one whose
label is in doubt, see core.quality.doubts. `turn` and `lies_right`: of a turned one, see core.quality.turned.
`distance`: of one far from all others, see core.quality.maps.
"""

_TWINS: list[pa.Field[Any]] = [pa.field("image_id", pa.int64()), pa.field("other", pa.int64())]
TWINS = pa.schema(_TWINS)
"""Pairs that may be twins by their vectors, and each image that was compared at least once, with NULL."""

_VIEWS: list[pa.Field[Any]] = [pa.field("image_id", pa.int64()), pa.field("view", pa.binary())]
VIEWS = pa.schema(_VIEWS)
"""Each image's view (core.quality.turned), so that the next check reads only new files."""

TEXTURES = VIEWS.append(pa.field("texture", pa.binary()))
"""As the last check keeps them: also each image's texture (core.quality.textures)."""
DICTIONARY = b"textures"
"""Key of the file's metadata under which the dictionary of the textures lies."""

_MAP: list[pa.Field[Any]] = [
    pa.field("image_id", pa.int64()),
    pa.field("x", pa.float32()),
    pa.field("y", pa.float32()),
]
MAP = pa.schema(_MAP)
"""Places on the map, by image id, see core.quality.maps."""
