"""The passport of a version: what it says, what it says it does not know, and that it holds nothing foreign."""

from __future__ import annotations

import copy
import io
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from pypdf import PdfReader

from core import auth, gate, i18n, model_benchmarks, registry, runs, stages, version_changes
from core.db.tables import finetuning_jobs, label_history, run_metrics
from core.errors import NotFound
from core.passport import as_json, gather, page, paper, words
from core.passport.document import Document
from core.quality import findings
from core.workbench import Workbench
from tests.passports import parts, version, with_everything

CARD = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
HOSTILE = "<script>alert(1)</script>\"'&<img src=//evil.example/x onerror=alert(2)>"


def of(wb: Workbench, version_id: int) -> Document:
    return words.document(gather.passport(wb, version_id))


def test_decisions_say_who_approved_who_overrode_a_red_gate_and_what_was_rolled_back(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    wb = wb_duckdb
    theme = parts(wb, trainer)
    one, two = (version(wb, trainer, theme.id, None, number, files=None) for number in (1, 2))
    version_changes.edit(wb, trainer, two, tags=["line-4"], description="For <line> 4.", semver="2.0.0")
    model_benchmarks.add(wb, trainer, two, "screws-2026", 0.875)
    stages.promote(wb, trainer, one, "production", "the first")
    gate.approve(wb, trainer, two, "I looked at its mistakes")
    stages.promote(wb, admin, two, "production", "needed", override="the line stands <still>")
    known = gather.passport(wb, two)
    text = page.render(words.document(known))
    for said in (
        "The gate was red: No concluded A/B test says that this version is better than version 1",
        "admin overrode it: the line stands &lt;still&gt;", "Approved by trainer.",
        "2 (2.0.0)", "champion", "line-4", "For &lt;line&gt; 4.", "screws-2026 0.875",
    ):  # fmt: skip
        assert said in text, said
    assert "conclude it" not in text  # what to do next is for the window in which one promotes
    [decision] = json.loads(json.dumps(as_json.render(known, words.document(known))))["decisions"]
    assert decision["evidence"]["approvals"][0]["note"] == "I looked at its mistakes"
    assert as_json.fingerprint(decision["evidence"]) == decision["evidence_hash"]

    stages.roll_back(wb, trainer, two, "bad answers")
    text = page.render(of(wb, one))
    assert "by a rollback from version 2: bad answers" in text and "put it into production" not in text
    assert "The gate was green." in text and "Nobody had approved it." in text
    assert "Version 1 took its place." in page.render(of(wb, two))


@pytest.mark.usefixtures("fixed_salt")
def test_everything_that_is_known_is_said(wb: Workbench, trainer: auth.User) -> None:
    theme = parts(wb, trainer, description="Screws from line 4.")
    wb.db.write(lambda connection: findings.note(connection, theme, trainer.id, "check", {}) and None)
    one = with_everything(wb, trainer, theme)
    known = gather.passport(wb, one)
    assert sum(each.images for each in known.data.labelled) == known.data.images == 300
    assert [(each.person, each.source) for each in known.data.labelled] == [("trainer", "upload")]
    measured = known.evaluation.measured
    assert measured is not None
    assert measured.wrong > 0 and len(measured.failures) <= measured.wrong
    assert all(each.picture and each.image_id % 7 == 0 for each in measured.failures)
    assert [each.to_stage for each in known.decisions] == ["production"]
    told = words.document(known)
    assert {section.card for section in told.sections} == {*CARD, ""}
    page_text = page.render(told)
    entry = known.decisions[0]
    for text in (
        "Screws from line 4.", "veritrain-theme-", known.data.hash, known.identity.checksum or "-", entry.hash,
        "it won", "B is better than A.", "Wilson", "called “", "Loss by epoch",
        known.identity.architecture, "trainer",
    ):  # fmt: skip
        assert text in page_text, text
    codes = {each.code for each in told.unknown}
    assert {"place", "licence", "people", "elsewhere"} <= codes
    assert not codes & {
        "purpose",
        "labellers",
        "answers",
        "check",
        "gate",
        "curves",
        "failures",
        "decisions",
        "tests",
        "by-label",
    }


def test_of_a_version_of_which_nothing_is_known_each_missing_part_says_so(
    wb: Workbench, trainer: auth.User
) -> None:
    theme = parts(wb, trainer)
    one = version(wb, trainer, theme.id, None, files=None)
    run_id = registry.get(wb, one).run_id
    wb.db.write(lambda c: c.execute(label_history.delete()) and None)
    wb.db.write(lambda c: c.execute(run_metrics.delete()) and None)
    wb.db.write(
        lambda c: (
            c.execute(finetuning_jobs.update().where(finetuning_jobs.c.id == run_id).values(result=None))
            and None
        )
    )
    wb.files.write(runs.get(wb, run_id).spec.snapshot.path, b"no parquet")
    told = of(wb, one)
    assert [each.code for each in told.unknown] == [
        "files", "place", "licence", "purpose", "answers", "test-hash", "labellers", "check", "gate", "machine",
        "curves", "answers", "by-label", "confusion", "failures", "people", "rights", "harm", "decisions", "tests",
        "deployments",
    ]  # fmt: skip
    last = told.sections[-1]
    assert last.name == "unknown" and len(last.blocks) == len(told.unknown)
    with pytest.raises(NotFound):
        of(wb, 999)


class _Outside(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")
        ]
        assert not any(name.startswith("on") for name, _value in attrs)


def test_the_page_needs_nothing_else_and_hostile_names_stay_text(
    wb_duckdb: Workbench, trainer: auth.User
) -> None:
    theme = parts(wb_duckdb, trainer, HOSTILE[:60], HOSTILE)
    one = version(wb_duckdb, trainer, theme.id, lambda image_id: image_id % 4 > 0)
    text = page.render(of(wb_duckdb, one))
    found = _Outside()
    found.feed(text)
    assert "script" not in found.tags and "link" not in found.tags and "iframe" not in found.tags
    kinds = {each.partition(";base64,")[0] for each in found.addresses}
    assert kinds == {"data:image/webp", "data:image/svg+xml"}
    drawn = [b64decode(each.partition(",")[2]) for each in found.addresses if "svg" in each[:16]]
    assert len(drawn) == 3 and not any(b"href" in each or b"<script" in each for each in drawn)
    assert not re.search(r"url\(|@import", text) and "&lt;script&gt;" in text


@pytest.mark.parametrize("language", ["en", "ja", "ko"])
def test_the_paper_has_every_heading_in_the_readers_language(
    wb_duckdb: Workbench, trainer: auth.User, language: str
) -> None:
    theme = parts(wb_duckdb, trainer, "部品 부품", HOSTILE)
    one = version(wb_duckdb, trainer, theme.id, lambda image_id: image_id % 4 > 0)
    i18n.use(language)
    try:
        told = of(wb_duckdb, one)
        found = "".join(
            "".join(each.extract_text().split()) for each in PdfReader(io.BytesIO(paper.render(told))).pages
        )
    finally:
        i18n.use("en")
    for section in told.sections:
        assert "".join(section.title.split()) in found, section.title
        assert "".join(section.card.split()) in found, section.card
    assert "部品부품" in found


def test_json_vouches_for_itself(wb_duckdb: Workbench, trainer: auth.User) -> None:
    theme = parts(wb_duckdb, trainer)
    one = version(wb_duckdb, trainer, theme.id, lambda image_id: image_id % 4 > 0)
    known = gather.passport(wb_duckdb, one)
    told = as_json.render(known, words.document(known))
    assert (told["schema"], told["schema_version"]) == ("veritrain.passport", 1)
    assert told["sha256"] == as_json.fingerprint(told)
    assert told["data"]["hash"] == known.data.hash and told["identity"]["checksum"] == known.identity.checksum
    assert told["evaluation"]["measured"]["failures"][0]["sha256"]
    assert {"code", "section", "text"} == set(told["not_known"][0])
    bent = copy.deepcopy(told)
    bent["evaluation"]["measured"]["accuracy"]["value"] = 1.0
    assert bent["sha256"] != as_json.fingerprint(bent)
