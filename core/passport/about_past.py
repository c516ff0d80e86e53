"""Pure. What a passport says of what became of a version: decisions, tests, deployments, and how to verify it all."""

from __future__ import annotations

from core import evidence
from core.ab import verdict
from core.ab.words import say
from core.i18n import gettext as _
from core.ledger import PRODUCTION
from core.passport.document import Block, Table, Text, Unknown
from core.passport.names import minute, stage
from core.passport.structure import Decision, Passport, Served, Tested


def decisions(found: tuple[Decision, ...]) -> tuple[Block, ...]:
    """The ledger's entries, and who put it into production."""
    if not found:
        return (
            Unknown(
                "decisions", _("Nobody has decided on this version yet: it is in staging since it was made.")
            ),
        )
    moves = tuple(
        (
            str(each.id),
            minute(each.at),
            each.person,
            _("from {before} to {after}").format(before=stage(each.from_stage), after=stage(each.to_stage))
            if each.from_stage != each.to_stage
            else "–",
            each.reason,
        )
        for each in found
    )
    hashes = tuple((str(each.id), each.hash, each.evidence_hash, each.previous_hash) for each in found)
    judged = tuple(
        (str(each.id), sentence)
        for each in found
        for sentence in evidence.sentences(each.evidence, each.person, each.others)
    )
    return (
        Text(_into_production(found)),
        Table((_("Entry"), _("When"), _("Who"), _("Stage"), _("Why")), moves),
        *([Table((_("Entry"), _("What it was decided by")), judged)] if judged else []),
        Table(
            (_("Entry"), "SHA-256", _("of its evidence"), _("of the entry before")),
            hashes,
            _("Hashes of the decisions"),
            True,
        ),
    )


def _into_production(found: tuple[Decision, ...]) -> str:
    """Who put it there last, and whether that was a promotion or a rollback."""
    moves = [each for each in found if each.to_stage == PRODUCTION != each.from_stage]
    if not moves:
        return _("It was never in production.")
    last = moves[-1]
    rolled_back = last.evidence.get("rolled_back")
    if rolled_back is None:
        text = _("{person} put it into production on {when}: {reason}")
        return text.format(person=last.person, when=minute(last.at), reason=last.reason)
    text = _("{person} brought it back into production on {when} by a rollback from version {n}: {reason}")
    return text.format(
        person=last.person, when=minute(last.at), n=last.others[rolled_back], reason=last.reason
    )


def tests(found: tuple[Tested, ...]) -> tuple[Block, ...]:
    if not found:
        return (
            Unknown(
                "tests", _("No A/B test compared it with another version, so real users have not judged it.")
            ),
        )
    return tuple(block for each in found for block in _test(each))


def _test(each: Tested) -> list[Block]:
    dates = " – ".join(minute(at) for at in (each.started_at, each.ended_at) if at is not None)
    name = _("“{name}”, in which it was {variant} ({dates}).").format(
        name=each.name, variant=each.variant, dates=dates
    )
    blocks: list[Block] = [Text(name)]
    if not each.verdict:
        blocks.append(Unknown("verdict", _("The test “{name}” has no verdict yet.").format(name=each.name)))
    else:
        said = say(verdict.kept(each.verdict), each.metric)
        blocks.append(Text(" ".join(part for part in (said.sentence, said.reason) if part)))
    if each.winner:
        blocks.append(Text(_("Winner: {name}. {reason}").format(name=each.winner, reason=each.reason or "")))
    if each.seal:
        blocks.append(Text(_("Plan sealed as {hash}.").format(hash=each.seal)))
    if not each.intact:
        blocks.append(Text(_("The stored plan is not the one that was sealed: do not trust this test.")))
    return blocks


def deployments(found: tuple[Served, ...]) -> tuple[Block, ...]:
    if not found:
        return (
            Unknown("deployments", _("It was never deployed here. Whether it runs elsewhere is not known.")),
        )
    states = {
        "up": _("up"),
        "down": _("stopped"),
        "starting": _("starting"),
        "restarting": _("starting again"),
        "failed": _("failed"),
    }
    rows = tuple(
        (
            str(each.id),
            minute(each.since),
            each.person or "–",
            states.get(each.status, each.status),
            minute(each.changed_at),
        )
        for each in found
    )
    head = (_("Deployment"), _("Since"), _("Who"), _("Now"), _("Changed"))
    elsewhere = _("Whether a downloaded copy runs elsewhere is not known.")
    return (Table(head, rows), Unknown("elsewhere", elsewhere))


def verify(passport: Passport) -> tuple[Block, ...]:
    address = f"GET /api/v1/admin/models/{passport.identity.version_id}/verify"
    blocks: list[Block] = [
        Text(
            _(
                "Press “Verify” on the passport's screen, or ask {address}: every decision, the list of images and every "
                "file are hashed anew and compared with what was kept."
            ).format(address=address)
        ),
        Text(
            _(
                "This passport as JSON carries its own SHA-256, of all its other fields as JSON with sorted keys and "
                "without spaces."
            )
        ),
    ]
    if passport.decisions:
        blocks.append(
            Text(
                _(
                    "As JSON it has the evidence of every decision, too; its hash is made in the same way and is part of "
                    "the decision's own."
                )
            )
        )
    if passport.identity.files:
        rows = tuple(sorted(passport.identity.files.items()))
        blocks.append(Table((_("File"), "SHA-256"), rows, _("Hashes of the files"), long=True))
    return tuple(blocks)
