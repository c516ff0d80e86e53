"""Pure. What a passport says of the images and of the training."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from core import params
from core.drawing import Drawing, curves
from core.errors import InvalidInput
from core.i18n import gettext as _
from core.params import Auguments, FormField, Params
from core.passport.document import Block, Charts, Table, Text, Unknown, pairs
from core.passport.names import minute, split
from core.passport.structure import Data, Training

SPLITS = ("train", "valid", "test")


def tested(data: Data) -> tuple[Block, ...]:
    n = sum(data.counts.get("test", {}).values())
    blocks: list[Block] = [
        Text(
            _(
                "{n} images of the same theme, put aside before the training; the model learnt from none of them. "
                "They come from where the training's images come from, so other sources may do worse."
            ).format(n=f"{n:,}")
        )
    ]
    if data.test_hash:
        text = _("Marks of two versions can be compared where this number is the same: {hash}")
        blocks.append(Text(text.format(hash=data.test_hash)))
    else:
        blocks.append(
            Unknown("test-hash", _("The list of test images is missing, so no hash vouches for them."))
        )
    return tuple(blocks)


def learnt(data: Data) -> tuple[Block, ...]:
    labels = sorted({label for of in data.counts.values() for label in of})
    rows = [
        (label, *(f"{data.counts.get(name, {}).get(label, 0):,}" for name in SPLITS))
        for label in labels
    ]  # fmt: skip
    rows.append((_("all"), *(f"{sum(data.counts.get(name, {}).values()):,}" for name in SPLITS)))
    facts = {
        _("Dataset version"): str(data.snapshot_id),
        _("Frozen"): minute(data.frozen_at),
        _("SHA-256 of its list"): data.hash,
        _("Its list in the file store"): data.path,
    }
    return (
        Text(_("{n} labelled images of {labels} labels.").format(n=f"{data.images:,}", labels=len(labels))),
        Table((_("Label"), *(split(name) for name in SPLITS)), tuple(rows)),
        pairs(facts, _("Item"), _("Value")),
        *_labelled(data),
        *_checked(data),
    )


def _labelled(data: Data) -> list[Block]:
    known = sum(each.images for each in data.labelled)
    blocks: list[Block] = []
    if data.labelled:
        rows = tuple((each.person or "–", _source(each.source), f"{each.images:,}") for each in data.labelled)
        blocks.append(Table((_("Who gave the labels"), _("How"), _("Images")), rows))
    if known < data.images:
        blocks.append(
            Unknown(
                "labellers",
                _("Who labelled {n} of the {all} images is not known.").format(
                    n=f"{data.images - known:,}", all=f"{data.images:,}"
                ),
            )
        )
    return blocks


def _source(name: str) -> str:
    return {
        "suggestion": _("accepted what a model suggested"),
        "upload": _("by the folder of an upload"),
        "import": _("by an import"),
        "demo": _("by the demo"),
        "api": _("by a program"),
        "settled": _("settled what two people disagreed on"),
    }.get(name, _("by hand"))


def _checked(data: Data) -> list[Block]:
    blocks: list[Block] = []
    if data.checked_at is None:
        blocks.append(
            Unknown(
                "check",
                _("Nobody had the images checked before the training: faults and leaks are not known."),
            )
        )
    else:
        blocks.append(Text(_("The images were last checked on {when}.").format(when=minute(data.checked_at))))
    if data.gate is not None:
        text = (
            _("The dataset gate then said PASS, score {score} ({when}).")
            if data.gate.passed
            else _("The dataset gate then said FAIL, score {score} ({when}).")
        )
        blocks.append(Text(text.format(score=data.gate.score, when=minute(data.gate.at))))
    else:
        blocks.append(Unknown("gate", _("What the dataset gate said then is not written down.")))
    if data.override is not None:
        text = _("{person} let the training start in spite of a FAIL: {reason}")
        blocks.append(Text(text.format(person=data.override.person, reason=data.override.reason)))
    return blocks


def training(it: Training) -> tuple[Block, ...]:
    facts = {
        _("Run"): str(it.run_id),
        _("Started"): _("{when}, by {person}").format(when=minute(it.created_at), person=it.started_by),
        _("Code commit"): str(it.code.get("commit", "–")),
        _("SHA-256 of the code"): str(it.code.get("source_hash", "–")),
    }
    if it.ended_at is not None:
        facts[_("Ended")] = minute(it.ended_at)
    if it.continues is not None:
        facts[_("Went on from run")] = str(it.continues)
    if it.tuning is not None:
        facts[_("Found by tuning")] = str(it.tuning)
    facts |= _surroundings(it.result)
    blocks: list[Block] = [pairs(facts, _("Item"), _("Value"))]
    if it.code.get("dirty"):
        blocks.append(
            Text(_("The code had changes that are in no commit; the hash of the code says exactly what ran."))
        )
    if not it.result:
        blocks.append(
            Unknown("machine", _("On which machine and with which libraries it was trained is not known."))
        )
    blocks += _settings(it)
    blocks += _curves(it)
    return tuple(blocks)


def _surroundings(result: Mapping[str, Any]) -> dict[str, str]:
    names = {
        "epochs_run": _("Epochs"),
        "best_epoch": _("Best epoch"),
        "seconds": _("Seconds"),
        "images_per_second": _("Images a second"),
        "device": _("Device"),
        "precision": _("Precision"),
        "threads": _("Threads"),
        "processes": _("Processes"),
        "attempts": _("Attempts"),
        "weights_sha256": _("SHA-256 of the weights"),
    }
    found = {title: str(result[name]) for name, title in names.items() if name in result}
    titles = {"processor": _("Processor"), "python": "Python"}
    return found | {titles.get(name, name): str(each) for name, each in result.get("versions", {}).items()}


def _settings(it: Training) -> list[Block]:
    """What was set otherwise than shipped, then all settings."""
    try:
        own = (params.check(it.params, Params), params.check(it.auguments, Auguments))
    except InvalidInput:
        return [Unknown("settings", _("The parameters are of a format that this Veritrain no longer reads."))]
    default = params.load_defaults()
    changed = tuple(
        (each.label(_), each.shown(each.before, _), each.shown(each.now, _))
        for each in params.changes(default, own)
    )
    every = tuple(
        (f"{_(field.section)}: {params.label(field, _)}", _value(field, model))
        for model in own
        for field in params.form_fields(type(model))
        if field.switch is None or attrgetter(".".join(field.switch))(model)
    )
    blocks: list[Block] = []
    if changed:
        head = (_("Set otherwise than shipped"), _("Shipped"), _("Here"))
        blocks.append(Table(head, changed))
    else:
        blocks.append(Text(_("All parameters are as they are shipped.")))
    blocks.append(
        Table((_("Parameter"), _("Value")), every, _("All parameters that had an effect"), long=True)
    )
    return blocks


def _value(field: FormField, model: Params | Auguments) -> str:
    unit = f" {_(field.unit)}" if field.unit else ""
    return f"{params.shown(field, field.value(model), _) or '–'}{unit}"


def _curves(it: Training) -> list[Block]:
    wanted = (
        (_("Loss by epoch"), {"train_loss": _("training"), "valid_loss": _("validation")}),
        (_("Accuracy by epoch"), {"train_accuracy": _("training"), "valid_accuracy": _("validation")}),
    )
    drawn: list[tuple[str, Drawing]] = []
    for title, names in wanted:
        chart = curves({text: it.curves[name] for name, text in names.items() if name in it.curves})
        if chart is not None:
            drawn.append((title, chart))
    if not drawn:
        return [Unknown("curves", _("How the training went, epoch by epoch, is not known."))]
    return [Charts(tuple(drawn))]
