"""Stored. The trust report of a version of a text dataset: sections for core.quality.report, in the reader's language."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from core.datasets import findings, permits, store, words
from core.datasets.findings import Standing
from core.datasets.store import Dataset, Version
from core.i18n import gettext as _
from core.quality.report import Report, Section
from core.quality.texts import gate
from core.quality.texts.kinds import COPIED, KINDS, LEAKED, PERSONAL, UNALIGNED, names, title
from core.texts.rowfile import SPLITS
from core.workbench import Workbench


def report(wb: Workbench, dataset_id: int, number: int | None = None) -> Report:
    """Everything that is known of a version (None: the newest), and what is not. No text of a row is in it.

    Raises NotFound.
    """
    dataset, version = store.get(wb, dataset_id), store.version(wb, dataset_id, number)
    standing = findings.standing(wb, version)
    made = datetime.now(UTC)
    return Report(
        title=_("Trust report: {name}").format(name=dataset.name),
        about=_("version {number}, {hash}, made {when} UTC").format(
            number=version.number, hash=version.hash[:12], when=f"{made:%Y-%m-%d %H:%M}"
        ),
        sentence=_verdict(standing),
        passed=standing.gate.passed if standing.counts else None,
        sections=(
            _rows(dataset, version),
            *(_of_the_check(wb, version, standing) if standing.counts else ()),
            _history(wb, version),
            _decisions(wb, version, standing),
        ),
        not_checked=tuple(_not_checked(standing)),
        of={
            "dataset_id": dataset.id,
            "dataset": dataset.name,
            "version": version.number,
            "hash": version.hash,
            "rows": version.row_count,
            "checked_at": standing.checked_at,
            "made_at": made,
        },
    )


def _verdict(standing: Standing) -> str:
    if standing.counts is None:
        return _("This version was not checked, so nothing is known of it but its numbers.")
    judged = standing.gate
    if judged.passed:
        return _("These texts are fit for a training: all {n} lines of the gate pass. Score {score}.").format(
            n=len(judged.lines), score=judged.score
        )
    return _("{n} of {all} lines of the gate fail: {names}. Score {score}.").format(
        n=len(judged.failed),
        all=len(judged.lines),
        names=_(", ").join(gate.title(line) for line in judged.failed),
        score=judged.score,
    )


def _rows(dataset: Dataset, version: Version) -> Section:
    words = {"train": _("train"), "valid": _("valid"), "test": _("test"), "": _("no split")}
    shapes = {
        "alpaca": _("instructions and answers"),
        "chat": _("conversations"),
        "parallel": _("translations"),
    }
    whole = version.statistics["whole"]
    return Section(
        "rows",
        _("Rows"),
        _("{n} rows of {shape}; half of them are shorter than {characters} characters.").format(
            n=f"{version.row_count:,}",
            shape=shapes[dataset.shape],
            characters=f"{whole['characters']['median']:,}",
        ),
        (_("Split"), _("Rows")),
        tuple((words[name], f"{version.splits.get(name, 0):,}") for name in (*SPLITS, "")),
        {"splits": version.splits, "whole": whole, "tokenizer": version.statistics["tokenizer"]},
    )


def _of_the_check(wb: Workbench, version: Version, standing: Standing) -> tuple[Section, ...]:
    assert standing.counts is not None
    counts, lines = standing.counts, standing.gate.lines
    judged = Section(
        "gate",
        _("Gate"),
        _("Each line asks for one thing before a training; weights add up to the score."),
        (_("Line"), _("Result"), _("Found")),
        tuple(
            (gate.title(line), _("PASS") if line.passed else _("FAIL"), gate.said(line, counts))
            for line in lines
        ),
        {
            "passed": standing.gate.passed,
            "score": standing.gate.score,
            "lines": [asdict(line) for line in lines],
            "counts": asdict(counts),
        },
    )
    return (judged, *_groups(standing), _languages(standing))


def _groups(standing: Standing) -> list[Section]:
    """Findings by what they are about; what has none says so."""
    of_line = {
        "personal": (_("Personal data"), names(PERSONAL)),
        "copies": (_("Copies"), names(COPIED)),
        "leaks": (_("Leaks"), names(LEAKED)),
        "alignment": (_("Pairs that do not belong together"), names(UNALIGNED)),
    }
    told = {name for _title, kinds in of_line.values() for name in kinds} | {"language"}
    of_line["others"] = (_("Other findings"), tuple(name for name in KINDS if name not in told))
    assert standing.counts is not None
    if not standing.counts.pairs:
        del of_line["alignment"]
    made = []
    for name, (heading, kinds) in of_line.items():
        found = [kind for kind in kinds if standing.open.get(kind) or standing.kept.get(kind)]
        made.append(
            Section(
                name,
                heading,
                _("Rows by finding.") if found else _("None found."),
                (_("Finding"), _("open"), _("called fine")) if found else (),
                tuple(
                    (title(kind), f"{standing.open.get(kind, 0):,}", f"{standing.kept.get(kind, 0):,}")
                    for kind in found
                ),
                {
                    "open": {kind: standing.open.get(kind, 0) for kind in kinds},
                    "called_fine": {kind: standing.kept.get(kind, 0) for kind in kinds},
                },
            )
        )
    return made


def _languages(standing: Standing) -> Section:
    return Section(
        "language",
        _("Languages"),
        _("The language that each text is most likely in, by its column."),
        (_("Text"), _("Languages")),
        tuple(
            (column, ", ".join(f"{language} {n:,}" for language, n in counts.items()))
            for column, counts in standing.languages.items()
        ),
        {"languages": standing.languages},
    )


def _history(wb: Workbench, version: Version) -> Section:
    """How the version came about, from the upload on."""
    chain = store.chain(wb, version)
    files = [each.source["file"] for each in chain if each.source]
    kept = ("added", "removed", "changed", "resplit")
    return Section(
        "history",
        _("How it came about"),
        _("From {files}, in {n} versions.").format(files=", ".join(files), n=len(chain)),
        (_("Version"), _("What"), _("added"), _("removed"), _("changed"), _("dealt")),
        tuple(
            (
                str(each.number),
                words.made_by(each),
                *(f"{each.change.get(name, 0):,}" for name in kept),
            )
            for each in chain
        ),
        {"versions": [{"number": each.number, "hash": each.hash, "change": each.change} for each in chain]},
    )


def _decisions(wb: Workbench, version: Version, standing: Standing) -> Section:
    given = permits.given(wb, version)
    return Section(
        "decisions",
        _("Decisions"),
        words.allowed(given) if given else _("Nobody allowed a training in spite of FAIL."),
        figures={
            "override": None
            if given is None
            else {"at": given.at, "person": given.person, "reason": given.reason, "stands": given.stands},
            "rules": standing.rules.model_dump(),
        },
    )


def _not_checked(standing: Standing) -> list[str]:
    said = [_(sentence) for sentence in standing.not_checked]
    if standing.since:
        said.append(words.went_on(standing))
    if standing.counts is None:
        said.append(_("Not checked: everything; the check has not run on this version."))
    elif not standing.counts.dealt:
        said.append(_("Not checked: leaks, for the rows are not split yet."))
    if standing.broken:
        said.append(
            _("Not checked: {n} rows of the uploaded files, which could not be read.").format(
                n=f"{standing.broken:,}"
            )
        )
    said.append(_("Not checked: whether what the texts say is true."))
    said.append(
        _("Not checked: how far people agree about these texts, for they are not labelled by two of them.")
    )
    return said
