"""Several people label one theme: how they share it, how far they agree, disputes, and what it was before."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from core import auth, images, teamwork, workbench
from core.i18n import gettext as _
from pages.widgets import frame, steps

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(title=theme.name, crumbs=[frame.home()])
steps.draw(wb, me, theme, "team")
names = {label.id: label.name for label in theme.labels}
MANY_LABELS = 12
"""Beyond this many labels a list is easier than buttons."""


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def people() -> None:
    st.subheader(_("Who did what"), anchor=False)
    found = teamwork.progress(wb, theme.id)
    if not found:
        st.caption(_("Nobody has labelled an image yet. Begin with “My batch” on the images' screen."))
        frame.link(_("To the images"), "theme.py", {"theme": theme.id})
        return
    st.dataframe(
        [
            {
                _("Person"): person.name,
                _("Labelled"): person.labelled,
                _("Today"): person.today,
                _("Blind answers"): person.answers,
                _("Labels an hour"): f"{person.per_hour:,.0f}" if person.per_hour else "–",
                _("Agrees with the settled label"): (
                    f"{percent(person.right / person.votes)} ({person.votes})" if person.votes else "–"
                ),
            }
            for person in found
        ],
        hide_index=True,
        width="stretch",
        key="people",
    )


def agreement() -> None:
    st.subheader(_("How far people agree"), anchor=False)
    found = teamwork.agreement(wb, theme.id)
    if not found.images:
        st.caption(
            _(
                "No image has been labelled by two people yet. Set a share of images to be labelled twice; "
                "people then take “My batch” on the images' screen."
            )
        )
        return
    sentence = _("People agree on {same} of {n} images that two of them labelled ({share}).").format(
        same=found.same, n=found.images, share=percent(found.same / found.images)
    )
    if found.chance is not None:
        sentence += " " + _("By chance alone it would be {share}.").format(share=percent(found.chance))
    st.markdown(sentence)
    columns = st.columns(2)
    help_ = _("1 is full agreement, 0 is what chance gives. From about 0.8 labels are reliable.")
    columns[0].metric("Krippendorff α", _number(found.krippendorff), help=help_)
    columns[1].metric("Fleiss κ", _number(found.fleiss), help=help_)
    who = {person.id: person.name for person in auth.list_users(wb)}
    st.dataframe(
        [
            {
                _("Two people"): f"{who.get(pair.a, '–')} · {who.get(pair.b, '–')}",
                _("Images"): pair.n,
                _("Same"): percent(pair.same / pair.n),
                "Cohen κ": _number(pair.kappa),
            }
            for pair in found.pairs
        ],
        hide_index=True,
        width="stretch",
        key="pairs",
    )
    st.dataframe(
        [
            {
                _("Label"): names.get(each.label, "–"),
                _("Same"): percent(each.same / each.n),
                _("Votes"): each.n,
            }
            for each in found.labels
        ],
        hide_index=True,
        width="stretch",
        key="label-agreement",
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


@frame.fragment()
def settle() -> None:
    st.subheader(_("Disputes"), anchor=False)
    open_ = teamwork.disputes(wb, theme.id)
    if not open_:
        st.caption(_("No dispute waits: where two people labelled an image, they agree or it is settled."))
        return
    dispute = open_[0]
    st.markdown(_("{n} images whose two labels differ. Which label is right?").format(n=len(open_)))
    picture, answers = st.columns([2, 1])
    with picture:
        st.html(
            f'<img src="/api/images/{dispute.image.id}/file" alt="" '
            'style="width:100%;max-height:46vh;object-fit:contain;image-rendering:auto">'
        )
        st.caption(frame.escape(dispute.image.file_name))
    with answers:
        said = sorted(set(dispute.votes.values()))
        st.caption(
            _("Said: {labels}").format(labels=", ".join(frame.escape(names.get(i, "–")) for i in said))
        )
        if not me.may(auth.LABELER):
            return
        if len(theme.labels) <= MANY_LABELS:
            for label in theme.labels:
                if st.button(
                    frame.escape(label.name),
                    key=f"settle-{dispute.image.id}-{label.id}",  # a second press is none for the next image
                    width="stretch",
                    type="primary" if label.id in said else "secondary",
                    help=_("Settle with this label and go on to the next."),
                ):
                    decide(dispute.image.id, label.id)
        else:
            chosen = st.selectbox(
                _("Label"),
                [label.id for label in theme.labels],
                index=[label.id for label in theme.labels].index(said[0]) if said[0] in names else 0,
                format_func=lambda i: names[i],
                key=f"settle-choice-{dispute.image.id}",
                help=_("The label that is right."),
            )
            if st.button(
                _("Settle"),
                type="primary",
                key=f"settle-{dispute.image.id}",
                help=_("And go on to the next."),
            ):
                decide(dispute.image.id, chosen)


def decide(image_id: int, label_id: int) -> None:
    with frame.refusals():
        teamwork.settle(wb, me, theme.id, image_id, label_id)
        st.rerun(scope="fragment")


def rules() -> None:
    st.subheader(_("How images are shared"), anchor=False)
    current = teamwork.rules(wb, theme.id)
    locked = not me.may(auth.TRAINER)
    with st.form("rules", border=False):
        batch = st.number_input(
            _("Images a person gets at a time"),
            1,
            teamwork.MAX_BATCH,
            current.batch,
            disabled=locked,
            help=_("Nobody else gets them meanwhile."),
        )
        double = st.number_input(
            _("Labelled by two people (%)"),
            0,
            100,
            current.double_percent,
            disabled=locked,
            help=_("Of the images; the second person does not see the first label. It measures agreement."),
        )
        idle = st.number_input(
            _("Given back after (minutes)"),
            1,
            1440,
            current.idle_minutes,
            disabled=locked,
            help=_("When a person does nothing for so long, others get the rest of the batch."),
        )
        if st.form_submit_button(_("Save"), disabled=locked, help=_("It holds from the next batch on.")):
            with frame.refusals():
                teamwork.set_rules(
                    wb, me, theme.id, batch=int(batch), double_percent=int(double), idle_minutes=int(idle)
                )
                st.success(_("Saved."))


def as_it_was() -> None:
    st.subheader(_("The theme as it was"), anchor=False)
    today = datetime.now(UTC).date()
    day = st.date_input(
        _("At the end of"),
        value=today - timedelta(days=1),
        min_value=theme.created_at.date() - timedelta(days=1),
        max_value=today,
        key="as-of",
        help=_("Days are counted in UTC."),
    )
    if not isinstance(day, date):
        return
    then = teamwork.counts_as_of(wb, theme.id, datetime.combine(day, time.max, UTC))
    now = images.statistics(wb, theme.id)
    rows = [
        {_("Label"): label.name, _("Then"): then.get(label.id, 0), _("Now"): now.by_label.get(label.id, 0)}
        for label in theme.labels
    ]
    gone = sum(n for label_id, n in then.items() if label_id is not None and label_id not in names)
    if gone:
        rows.append({_("Label"): _("(labels deleted since)"), _("Then"): gone, _("Now"): 0})
    rows.append({_("Label"): _("unlabelled"), _("Then"): then.get(None, 0), _("Now"): now.unlabelled})
    st.dataframe(rows, hide_index=True, width="stretch", key="then")
    frame.link(_("Show the images as they were"), "theme.py", {"theme": theme.id, "at": day.isoformat()})


left, right = st.columns([3, 2], gap="large")
with left:
    settle()
    people()
with right:
    rules()
    as_it_was()
with left:
    agreement()  # last, because the first look loads a library for seconds
