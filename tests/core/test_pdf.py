"""PDFs whose text can be read again, in every language, and that hostile texts cannot break."""

from __future__ import annotations

import io

from pypdf import PdfReader

from core.pdf import Interval, Paper, runs


def read(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def test_texts_of_all_languages_come_out_as_they_went_in() -> None:
    paper = Paper("BはAより優れています", footer="A/B 시험 7")
    texts = ["B가 A보다 낫습니다", "“Größe” – ±0.2 ≤ α", "混ぜて 섞어서 mixed"]
    for text in texts:
        paper.text(text)
    paper.callout("판정", ["理由はここ"], "#15803d")
    paper.table(["列", "값"], [["評価", "+0.32 stars"]] * 80)
    paper.intervals([Interval("국가: JP", 0.1, -0.1, 0.3), Interval("nothing", float("nan"), 0, 0)], band=0.2)
    found = read(paper.data())
    flat = "".join(found.split())
    for text in (*texts, "BはAより優れています", "판정", "理由はここ", "국가: JP", "A/B 시험 7 · 2"):
        assert "".join(text.split()) in flat, text
    assert found.count("+0.32 stars") == 80 and found.count("評価") == 80


def test_markup_control_characters_and_unknown_signs_are_text() -> None:
    paper = Paper("<b>bold</b> & <script>")
    paper.text("</font><para> \x00\x07 \N{PILE OF POO} " + "long" * 400)
    paper.table(["a"], [["<img src=x>"], [""]])
    found = "".join(read(paper.data()).split())
    assert "<b>bold</b>&<script>" in found and "</font><para>?long" in found and "<imgsrc=x>" in found


def test_the_same_content_gives_the_same_bytes_and_each_character_a_font() -> None:
    assert Paper("x").data() == Paper("x").data()
    assert [font for font, _ in runs("A가あ")] == ["Helvetica", "HYGothic-Medium", "HeiseiKakuGo-W5"]
