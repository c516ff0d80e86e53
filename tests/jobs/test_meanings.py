"""Parallel texts judged by an embedding model: a real one in miniature, made here, and folders that hold none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from core.files import FileStore
from core.quality.texts import alignment
from core.quality.texts.foundfile import packed
from core.quality.texts.rules import Rules
from core.settings import Settings
from core.spec import TextCheckSpec
from core.texts.records import Record
from core.texts.rowfile import DataRow, table
from jobs import check_texts
from jobs.runtime import Job
from tests.steps import in_file

WORDS = 6_000
"""None comes twice in `pairs`: nothing can be learnt from which go together."""
PAIRS = 1_200
FILLER = "um"
_runs = count(1)


def word(language: str, n: int) -> str:
    return language + "".join(chr(97 + n // 26**place % 26) for place in range(3))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights; a word and its translation begin as the same vector."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    vocabulary = ["[PAD]", "[UNK]", FILLER]
    vocabulary += [word(language, n) for n in range(WORDS) for language in "az"]
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    network = BertModel(config)
    with torch.no_grad():
        vectors = torch.randn(WORDS, 32).repeat_interleave(2, dim=0)
        network.embeddings.word_embeddings.weight[3:] = vectors
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pairs() -> tuple[list[Record], np.ndarray]:
    """Translations word by word, with more or less of nothing between; and which of them were shuffled."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(WORDS).reshape(PAIRS, 5)
    sources = [" ".join(word("a", n) for n in some) for some in chosen]
    targets = [
        " ".join([word("z", n) for n in some[::-1]] + [FILLER] * int(rng.integers(0, 5))) for some in chosen
    ]
    moved = rng.choice(PAIRS, PAIRS // 5, replace=False)
    shuffled = list(targets)
    for to, of in zip(moved, np.roll(moved, 1), strict=True):
        shuffled[to] = targets[of]
    wrong = np.array([a != b for a, b in zip(targets, shuffled, strict=True)])
    return [Record.pair(*pair) for pair in zip(sources, shuffled, strict=True)], wrong


def check(settings: Settings, records: list[Record], model: str) -> tuple[set[int], list[str]]:
    """Run the job; the row ids that are called misaligned, and what was not checked."""
    files = FileStore(settings.files_url)
    rows = table([DataRow(number, record, None) for number, record in enumerate(records)])
    run_id = next(_runs)
    spec = TextCheckSpec(
        run_id=run_id,
        kind="text-check",
        dataset_id=1,
        version_id=1,
        rows=files.put(packed(rows), "texts", "parquet"),
        shape="parallel",
        rules=Rules().model_dump(),
        before=None,
        code=None,
        created_by="labeler",
    )
    with Job(spec, 1, replace(settings, embedding_model=model)) as job:
        check_texts.main(job, spec)
    events = [event.payload for event in in_file(settings, run_id)]
    [result] = [data for data in events if "findings" in data]
    with files.open(result["findings"]) as file:
        found = pq.read_table(file).to_pylist()
    misaligned = {each["row_id"] for each in found if each["kind"] == "misaligned"}
    return misaligned, result["summary"]["not_checked"]


def test_a_model_tells_pairs_apart_whose_words_teach_nothing(
    settings: Settings, model: Path, pairs: tuple[list[Record], np.ndarray]
) -> None:
    records, wrong = pairs
    without, said = check(settings, records, "")
    assert without == set() and alignment.UNLEARNT in said
    found, said = check(settings, records, str(model))
    expected = set(np.flatnonzero(wrong).tolist())
    assert len(found & expected) >= 0.95 * len(expected)
    assert len(found & expected) >= 0.95 * len(found)
    assert not {alignment.UNLEARNT, alignment.BY_WORDS} & set(said)
    # The same folder in the file store.
    for path in model.iterdir():
        FileStore(settings.files_url).write(f"models/tiny/{path.name}", path.read_bytes())
    assert check(settings, records, "models/tiny") == (found, said)


def test_a_folder_that_holds_no_usable_model_is_a_sentence(
    settings: Settings, model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    chosen = rng.integers(0, 300, (PAIRS, 6))
    records = [
        Record.pair(*(" ".join(word(language, n) for n in some) for language in "az")) for some in chosen
    ]
    spoilt = tmp_path / "spoilt"
    shutil.copytree(model, spoilt)
    (spoilt / "model.safetensors").write_bytes(b"no weights")
    foreign = tmp_path / "foreign"
    shutil.copytree(model, foreign)
    config = json.loads((foreign / "config.json").read_text("utf-8"))
    strange = {
        **config,
        "model_type": "ours",
        "auto_map": {"AutoConfig": "code.Ours", "AutoModel": "code.Ours"},
    }
    (foreign / "config.json").write_text(json.dumps(strange), "utf-8")
    (foreign / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", "utf-8")
    for name in ("models/none", "../up", str(tmp_path / "none")):
        found, said = check(settings, records, name)
        assert alignment.NO_MODEL in said and alignment.BY_WORDS not in said and found == set()
    for folder in (spoilt, foreign):
        found, said = check(settings, records, str(folder))
        assert alignment.BROKEN_MODEL in said and found == set()
    assert not (tmp_path / "ran").exists()
