"""Pure. Whether the pairs of a version belong together, and what a check keeps for the next one to go on from.

Every pair has a say in what is found of any other. What is learnt hardly changes with a few pairs more, so while few
came or went (GROWTH) the old ones keep what was said of them, and new ones are judged by what was learnt then.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from core.quality.texts import alignment, seen
from core.quality.texts.alignment import BY_WORDS, Learnt
from core.quality.texts.lexicon import Judge, Lexicon, Meanings
from core.quality.texts.seen import Rows
from core.texts.records import Record

KINDS = ("misaligned", "untranslated", "length-ratio", "lost-number", "lost-link", "lost-mark")
"""Of core.quality.texts.alignment."""
GROWTH = 0.02
"""Share of the contents that came or went since all were judged, beyond which all are judged anew."""
SAID = "said"
"""Key of the JSON of `Said` among the arrays of the file."""


@dataclass(frozen=True)
class Model:
    """An embedding model that tells what pairs mean."""

    name: str
    """Which one: another name, another model."""
    embed: Callable[[Sequence[Record]], Meanings]


@dataclass(frozen=True)
class Said:
    """What is known of the pairs as a whole."""

    model: str
    without: str
    """The sentence that says why there is no model."""
    contents: str
    """SHA-256 of what all rows say."""
    pairs: int
    """Rows with a source and a target."""
    learnt: bool
    """False: their words hardly go together, so it cannot be told which belong together."""
    not_checked: list[str]
    together: int
    """Contents that were judged together."""
    since: int
    """That came or went after that."""


@dataclass(frozen=True)
class Paired:
    alone: pa.Table
    """ALONE: each content's findings."""
    said: Said
    learnt: bytes
    """The file for the next check."""


def check(
    of: Rows,
    before: seen.Before | None,
    model: Model | None = None,
    without: str = BY_WORDS,
    *,
    anew: bool = False,
) -> Paired:
    """Judge the pairs: all together, with `anew` or where too much changed since `before`; else those that came."""
    name = model.name if model is not None else ""
    contents = of.fingerprint()
    if before is not None and before.learnt is not None and not anew:
        said, learnt = unpacked(before.learnt)
        place: Any = pc.index_in(of.contents, value_set=before.seen["hash"].combine_chunks())
        fresh = np.flatnonzero(place.is_null().to_numpy(zero_copy_only=False))
        moved = 2 * len(fresh) + len(before.seen) - len(of.contents)  # that came, and that went
        since = said.since + moved
        same = (said.model, said.without) == (name, without)
        few = learnt.judge is not None and since <= GROWTH * said.together
        if same and (said.contents == contents or few):
            found = alignment.check_more(
                of.records(of.first[fresh]), learnt, model.embed if model is not None else None
            )
            alone = [
                seen.alone_before(before.findings, of.contents, KINDS),
                seen.told_of(fresh, found.findings),
            ]
            now = Said(**asdict(said) | {"contents": contents, "pairs": of.pairs(), "since": since})
            return Paired(pa.concat_tables(alone), now, packed(now, learnt))
    records = of.records(np.arange(len(of)))
    aligned = alignment.check(records, model.embed(records) if model is not None else None, without)
    assert aligned.by is not None
    now = Said(
        model=name,
        without=without,
        contents=contents,
        pairs=aligned.pairs,
        learnt=aligned.learnt is not False,
        not_checked=list(aligned.not_checked),
        together=len(of.contents),
        since=0,
    )
    first = [
        finding for finding in aligned.findings if of.first[of.content[finding.record]] == finding.record
    ]
    return Paired(seen.told_of(of.content, first), now, packed(now, aligned.by))


def packed(said: Said, learnt: Learnt) -> bytes:
    """The file: arrays, and what is said as JSON."""
    arrays: dict[str, Any] = {
        SAID: _bytes(json.dumps(asdict(said))),
        "bounds": np.array([learnt.worst, learnt.usual, learnt.within]),
    }
    if (judge := learnt.judge) is not None:
        arrays |= {"usual": np.array(judge.usual), "weights": judge.weights, "scale": np.stack(judge.scale)}
        if judge.means is not None:
            arrays["means"] = np.stack(judge.means)
        for n, (features, way) in enumerate(zip(judge.features, judge.ways, strict=True)):
            table = way.table
            arrays |= {
                f"features{n}": _bytes("\n".join(features)),
                f"t{n}": table.data.astype(np.float32),
                f"into{n}": table.indices.astype(np.int32),
                f"from{n}": table.indptr.astype(np.int64),
                f"frequency{n}": way.frequency,
                f"bands{n}": way.bands.astype(np.int8),
            }
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def unpacked(data: bytes) -> tuple[Said, Learnt]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file)
    said = Said(**json.loads(_text(arrays[SAID])))
    judge = None
    if "weights" in arrays:
        features = tuple(tuple(_text(arrays[f"features{n}"]).split("\n")) for n in (0, 1))
        middle, spread = arrays["scale"]
        means = arrays.get("means")
        judge = Judge(
            features=(features[0], features[1]),
            ways=(_way(arrays, 0), _way(arrays, 1)),
            usual=float(arrays["usual"]),
            scale=(middle, spread),
            weights=arrays["weights"],
            means=None if means is None else (means[0], means[1]),
        )
    return said, Learnt(judge, *map(float, arrays["bounds"]))


def _way(arrays: dict[str, Any], n: int) -> Lexicon:
    start, frequency = arrays[f"from{n}"], arrays[f"frequency{n}"]
    table = sp.csr_array(
        (arrays[f"t{n}"].astype(np.float64), arrays[f"into{n}"], start),
        shape=(len(start) - 1, len(frequency)),
    )
    return Lexicon(table, frequency, arrays[f"bands{n}"].astype(np.int64))


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def _text(data: NDArray[np.uint8]) -> str:
    return data.tobytes().decode("utf-8", "surrogatepass")
