from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import pytest
from pictures import png
from pypdf import PdfReader

from core import auth, i18n, images, label_checks, runs, snapshots, splits, teamwork, themes
from core.errors import NotFound
from core.labelling import Action
from core.quality import findings, repair, report, trust, trust_words
from core.workbench import Workbench

HOSTILE = "<script>alert(1)</script>&\"'`${x}%s{0} 猫 고양이"
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "small", "div", "strong", "table",
        "thead", "tbody", "tr", "th", "td", "ul", "li"}  # fmt: skip


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert all(name in ("lang", "charset", "class", "name", "content") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def sections(made: report.Report) -> dict[str, report.Section]:
    return {each.name: each for each in made.sections}


def theme_of(wb: Workbench, trainer: auth.User) -> themes.Theme:
    """Forty images of a cat's and a dog's label; one cat lies a second time in train, with the dog's label."""
    theme = themes.create(wb, trainer, name=f"{HOSTILE} theme", labels=[HOSTILE, "dog"])
    files = [
        (f"{'dog' if n % 2 else HOSTILE.replace('/', '_')}/{n}.png", png(n, (96, 64))) for n in range(40)
    ]
    images.add(wb, trainer, theme.id, files)
    by_name = {label.name: label.id for label in theme.labels}
    ids = sorted(image.id for image in images.page(wb, theme.id).items)
    given = [(image_id, by_name["dog" if at % 2 else HOSTILE]) for at, image_id in enumerate(ids)]
    images.label(wb, trainer, theme.id, given)
    splits.split(wb, trainer, theme.id)
    return theme


def test_the_report_says_what_is_known_of_a_version_and_what_is_not(
    wb: Workbench, trainer: auth.User, labeler: auth.User, admin: auth.User
) -> None:
    theme = theme_of(wb, trainer)
    before = trust.gather(wb, theme.id)
    assert (before.images, before.outside, before.snapshot_id) == (40, 0, None)
    said = trust_words.report(before)
    assert (said.passed, said.of["hash"]) == (True, snapshots.freeze(wb, trainer, theme.id).hash)
    assert any("audit slice" in text for text in said.not_checked)
    assert any("not trained yet" in text for text in said.not_checked)
    assert any("the check has not run" in text for text in said.not_checked)

    first = runs.start(wb, trainer, theme.id).spec.snapshot.id
    learnt = next(i for i in images.page(wb, theme.id).items if i.split == "train")
    copy = png(int(learnt.file_name.rpartition("/")[2].split(".")[0]), (97, 65))
    other = next(label.id for label in theme.labels if label.id != learnt.label_id)
    images.add(wb, trainer, theme.id, [("test/x/copy.png", copy)], split_from_folder=True)
    [added] = [i.id for i in images.page(wb, theme.id).items if i.file_name == "test/x/copy.png"]
    images.label(wb, trainer, theme.id, [(added, other)])
    now = trust.gather(wb, theme.id)
    assert (now.counts.leaks, now.counts.conflicts, now.counts.copies) == (2, 2, 1)
    assert now.test_hash != before.test_hash and now.test_images == before.test_images + 1
    assert not trust_words.report(now).passed
    # What was frozen before stays as clean as it was.
    old = trust.gather(wb, theme.id, first)
    assert (old.counts.leaks, old.counts.conflicts, old.counts.copies, old.images) == (0, 0, 0, 40)
    assert (old.test_hash, old.hash, old.gate.passed) == (before.test_hash, before.hash, True)

    runs.start(wb, admin, theme.id, override=HOSTILE)
    second = snapshots.freeze(wb, trainer, theme.id).id
    repair.one_side(wb, trainer, theme.id)
    of_second = trust.gather(wb, theme.id, second)
    # The snapshot keeps its leak though the theme is repaired.
    assert (
        of_second.counts.leaks,
        of_second.counts.copies,
        findings.standing(wb, theme.id).counts.leaks,
    ) == (2, 1, 0)
    assert [(each.person, each.reason) for each in of_second.overrides] == [("admin", HOSTILE)]
    assert trust.gather(wb, theme.id, first).overrides == ()
    assert of_second.drift.why == "too-few" and trust.gather(wb, theme.id, first).drift.why == "first"
    with pytest.raises(NotFound):
        trust.gather(wb, theme.id, 99)
    with pytest.raises(NotFound):
        trust.gather(wb, themes.create(wb, trainer, name="other", labels=[]).id, first)


def test_rates_are_of_the_labels_that_were_looked_at(
    wb: Workbench, trainer: auth.User, labeler: auth.User
) -> None:
    theme = themes.create(wb, trainer, name="Animals", labels=["cat", "dog"])
    cat, dog = (label.id for label in theme.labels)
    files = [(f"{n}.png", png(n, (8, 8))) for n in range(200)]
    images.add(wb, trainer, theme.id, files)
    ids = [image.id for image in images.page(wb, theme.id).items]
    images.label(wb, trainer, theme.id, [(each, cat if at % 2 else dog) for at, each in enumerate(ids)])
    splits.split(wb, trainer, theme.id)
    asked = label_checks.to_check(wb, labeler, theme.id)
    label_of = {image.id: image.label_id for image in images.rows(wb, theme.id, asked)}
    wrong = asked[0]
    said = [
        (each, (dog if label_of[each] == cat else cat) if each == wrong else label_of[each]) for each in asked
    ]
    label_checks.answer(wb, labeler, theme.id, said)  # type: ignore[arg-type]
    found = trust.gather(wb, theme.id)
    assert (found.audited.n, found.audited.wrong, found.corrected) == (len(asked), 1, 0)
    assert found.slice_size >= len(asked)
    images.label(wb, trainer, theme.id, [said[0]])  # type: ignore[list-item]
    assert trust.gather(wb, theme.id).corrected == 1

    teamwork.set_rules(wb, trainer, theme.id, double_percent=100)
    images.add(wb, trainer, theme.id, [(f"new-{n}.png", png(n, (9, 9))) for n in range(1_000, 1_010)])
    for person, answer in ((labeler, [cat] * 10), (trainer, [cat] * 9 + [dog])):
        batch = sorted(teamwork.batch(wb, person, theme.id))
        action = Action(
            f"00000000-0000-0000-0000-{person.id:012d}", tuple(zip(batch, answer, strict=True)), 1.0
        )
        assert all(done.refused is None for done in teamwork.answer(wb, person, theme.id, [action]))
    splits.split(wb, trainer, theme.id)
    same = trust.gather(wb, theme.id).agreed.same
    assert (same.n, same.wrong) == (9, 0)  # the disputed one has no label, so no version has it
    assert same.high == pytest.approx(label_checks.interval(9, 0).high)


def test_every_format_shows_hostile_names_as_they_are(
    wb_duckdb: Workbench, trainer: auth.User, admin: auth.User
) -> None:
    wb = wb_duckdb
    theme = theme_of(wb, trainer)
    findings.set_rules(wb, trainer, theme.id, {"least_per_label": 1_000})
    runs.start(wb, admin, theme.id, override=HOSTILE)
    gathered = trust.gather(wb, theme.id)
    for language in i18n.LANGUAGES:
        i18n.use(language)
        try:
            made = trust_words.report(gathered)
            html, data = report.as_html(made), report.as_json(made)
            pages = PdfReader(io.BytesIO(report.as_pdf(made))).pages
        finally:
            i18n.use("en")
        reader = Reader()
        reader.feed(html)
        assert reader.tags <= TAGS and f"lang='{language}'" in html
        assert reader.text.count(HOSTILE) >= 4  # the title twice, the label, the line of the gate, the reason
        assert HOSTILE in data["title"] and json.loads(json.dumps(data, allow_nan=False)) == data
        names = [each["name"] for each in data["sections"]]
        assert names == list(sections(made)) and len(set(names)) == len(names)
        for each in data["sections"]:
            assert all(len(row) == len(each["head"]) for row in each["rows"])
        text = " ".join(page.extract_text() for page in pages)
        assert "alert(1)" in text and re.search("猫", text)
        for sentence in (*(each.sentence for each in made.sections), *made.not_checked):
            assert sentence and "{" not in sentence.replace(HOSTILE, "")
