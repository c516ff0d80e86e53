"""A duel: which of two answers is better, judged without knowing whose it is; and what came of it."""

from __future__ import annotations

import json
from secrets import randbelow

import streamlit as st

from core import auth, images, registry, serving, themes, version_lists, workbench
from core.ab import duel_items, duels, judging, trials
from core.ab.duel_items import Sample
from core.ab.duels import Duel
from core.ab.trials import Trial
from core.errors import NotFound
from core.i18n import gettext as _
from core.version_lists import Choice
from core.workbench import Workbench
from pages.widgets import duel, frame, steps

IMAGES, LOGS, PROGRAM = "images", "logs", "program"


def _named(bench: Workbench) -> tuple[themes.Theme, Trial | None, Duel | None]:
    """What the address names: a duel, or the test or theme whose newest duel it is."""
    trial, found = None, None
    if (number := frame.number_from_url("duel")) is not None:
        found = duels.get(bench, number)
        theme_id = found.theme_id
        if found.test_id is not None:
            try:
                trial = trials.get(bench, found.test_id)
            except NotFound:  # a draft that was thrown away
                trial = None
    elif (number := frame.number_from_url("test")) is not None:
        trial = trials.get(bench, number)
        theme_id = trial.theme_id
        found = next(iter(duels.listed(bench, test_id=number, limit=1)), None)
    elif (number := frame.number_from_url("theme")) is not None:
        theme_id = number
        found = next(iter(duels.listed(bench, theme_id=number, limit=1)), None)
    else:
        raise NotFound("This address names no duel; open one from an A/B test.")
    return themes.get(bench, theme_id), trial, found


try:
    theme, trial, found = _named(workbench.current())
except NotFound as error:
    frame.missing(error)
    raise AssertionError("unreachable") from error
crumbs = [*frame.of_theme(theme), (_("A/B tests"), "ab.py", {"theme": theme.id})]
if trial is not None:
    crumbs.append((trial.name, "abtest.py", {"test": trial.id}))
wb, me = frame.open_page(
    title=_("Duel"),
    crumbs=crumbs,
    help=_(
        "Two versions answer the same questions. People choose the better answer without knowing whose it is."
    ),
)
may_edit = me.may(auth.TRAINER)
whose = {"test": trial.id} if trial is not None else {"theme": theme.id}


# --- a new duel ---------------------------------------------------------------


@frame.fragment()
def plan() -> None:
    """The form of a new duel."""
    versions = version_lists.choices(wb, theme.id)
    if len(versions) < 2:
        st.info(
            _("A duel compares two versions; this theme has {n}. Train again, then come back.").format(
                n=len(versions)
            )
        )
        frame.link(_("Go to training"), "training.py", {"theme": theme.id})
        return
    with st.container(border=True, key="plan-duel"):
        st.subheader(_("New duel"), anchor=False)
        st.markdown(
            _(
                "Both versions answer the same questions; your team then says which answer is better, one key an item."
            )
        )
        variant, pair = _opponents(versions)
        sources = [IMAGES, *([LOGS] if trial is not None and trial.phase is not None else []), PROGRAM]
        source = st.radio(
            _("Where the questions come from"),
            sources,
            format_func={
                IMAGES: _("Images of this theme, answered now by both versions"),
                LOGS: _("Texts that users of both variants asked in the live test"),
                PROGRAM: _("A program sends questions with both answers"),
            }.__getitem__,
            key="source",
            help=_("All judges get the same questions."),
        )
        sample = _sample(source)
        if source == IMAGES and not _deployed(pair):
            return
        if st.button(_("Make the duel"), type="primary", key="make-duel", help=_("Then judging can begin.")):
            with frame.refusals(), st.spinner(_("Both models are answering …")):
                made = duels.create(
                    wb,
                    me,
                    test_id=trial.id if trial is not None else None,
                    variant=variant,
                    theme_id=theme.id,
                    versions=pair,
                    sample=sample,
                )
                frame.go("duel.py", duel=made.id)


def _opponents(versions: list[Choice]) -> tuple[str, tuple[int, int]]:
    """The variant that meets A, and both version ids."""
    if trial is not None:
        names = trial.plan.names[1:]
        variant = names[0]
        if len(names) > 1:
            variant = st.selectbox(
                _("Who meets A"), names, key="variant", help=_("One duel compares two variants.")
            )
        arm = trial.plan.names.index(variant)
        return variant, (trial.plan.versions[0], trial.plan.versions[arm])
    called = {version.id: version.title(_("version {n}")) for version in versions}
    ids = list(called)
    left, right = st.columns(2)
    a = left.selectbox(
        _("A, the present model"),
        ids,
        1,
        format_func=called.__getitem__,
        key="version-a",
        help=_("What users get today."),
    )
    b = right.selectbox(
        _("B, the challenger"),
        ids,
        0,
        format_func=called.__getitem__,
        key="version-b",
        help=_("What might take its place."),
    )
    return "B", (a, b)


def _sample(source: str) -> Sample | None:
    if source == PROGRAM:
        st.caption(_("The next screen shows the request, ready to copy."))
        return None
    which = "all"
    if source == IMAGES:
        counts = images.statistics(wb, theme.id)
        kinds = {
            "unlabelled": _("Unlabelled ({n})").format(n=f"{counts.unlabelled:,}"),
            "test": _("Test images ({n})").format(n=f"{counts.by_split.get('test', 0):,}"),
            "all": _("All ({n})").format(n=f"{counts.total:,}"),
        }
        which = st.radio(
            _("Which images"),
            list(kinds),
            index=0 if counts.unlabelled else 1,
            format_func=kinds.__getitem__,
            horizontal=True,
            key="which",
            help=_(
                "Unlabelled and test images are new to the models. “All” includes those they were trained on."
            ),
        )
    n = st.number_input(
        _("How many"),
        1,
        duel_items.MAX_SAMPLE,
        100,
        key="how-many",
        help=_("Drawn by chance. 100 that differ tell 60 of 100 from a draw; equal answers need no judge."),
    )
    # Another draw each time on screen; its number is kept with the duel, so that REST can draw the same again.
    return Sample.model_validate({"source": source, "n": int(n), "which": which, "seed": randbelow(2**32)})


def _deployed(pair: tuple[int, int]) -> bool:
    """Whether both versions can answer now; draws the way there where they cannot."""
    live = {each.version.id: each for each in serving.deployments(wb, theme.id)}
    missing = [each for each in dict.fromkeys(pair) if each not in live]
    names = {
        each.id: _("version {n}").format(n=each.version) for each in registry.by_id(wb, set(pair)).values()
    }
    if missing:
        st.warning(
            _("Not deployed yet: {all}. Both must be up to answer.").format(
                all=", ".join(names[each] for each in missing)
            )
        )
        if st.button(
            _("Deploy the missing ones"), key="deploy-missing", help=_("Starts a model server for each.")
        ):
            with frame.refusals():
                for version_id in missing:
                    serving.deploy(wb, me, version_id)
                st.rerun(scope="fragment")
        return False
    if any(live[each].status != serving.UP for each in pair):
        _starting(pair)
        return False
    return True


@frame.fragment(run_every=2)
def _starting(pair: tuple[int, int]) -> None:
    states = {each.version.id: each.status for each in serving.deployments(wb, theme.id)}
    if all(states.get(each) == serving.UP for each in pair):
        st.rerun()
    st.info(_("The model servers are starting …"), icon=":material/hourglass_top:")


# --- an open duel -------------------------------------------------------------


@frame.dialog(_("Close the duel"))
def close(of: Duel) -> None:
    st.markdown(
        _("Nobody can judge any more then, and everybody may see the results. This cannot be undone.")
    )
    if st.button(_("Close the duel"), type="primary", key="yes-close"):
        with frame.refusals():
            duels.close(wb, me, of.id)
            st.rerun()


def about(of: Duel) -> None:
    """Who meets whom, over what, and the buttons."""
    versions = registry.by_id(wb, {of.version_a, of.version_b})
    parts = [
        _("**A** is version {a}, **{name}** is version {b}.").format(
            a=versions[of.version_a].version, name=of.variant, b=versions[of.version_b].version
        )
    ]
    if of.same:
        parts.append(
            _("Items: {n}, of which {same} answered alike.").format(n=f"{of.items:,}", same=f"{of.same:,}")
        )
    elif of.items:
        parts.append(_("Items: {n}.").format(n=f"{of.items:,}"))
    if of.sample and of.sample.get("failed"):
        parts.append(_("Left out, because one could not answer: {n}.").format(n=of.sample["failed"]))
    with st.container(horizontal=True, vertical_alignment="center", key="duel-actions"):
        st.markdown(" ".join(parts), width="stretch")
        others = duels.listed(wb, **{f"{name}_id": number for name, number in whose.items()})
        if len(others) > 1:
            chosen = st.selectbox(
                _("Duel"),
                [each.id for each in others],
                [each.id for each in others].index(of.id) if of.id in {o.id for o in others} else None,
                format_func=lambda number: _("Duel {n}").format(n=number),
                label_visibility="collapsed",
                width=130,
                key=f"other-{of.id}",
                help=_("Another duel of the same models."),
            )
            if chosen is not None and chosen != of.id:
                frame.go("duel.py", duel=chosen)
        if may_edit:
            if st.button(_("New duel"), key="new-duel", help=_("With other questions, or other models.")):
                frame.go("duel.py", **whose, new=1)
            if of.status == duels.OPEN and st.button(
                _("Close the duel"),
                key="close-duel",
                help=_("Ends the judging and shows everybody the results."),
            ):
                close(of)


def to_judge(of: Duel) -> judging.Progress | None:
    """How far this person is, where it is theirs to judge; None where the results are to be drawn."""
    if of.status == duels.CLOSED or not me.may(auth.LABELER) or of.same == of.items:
        return None
    progress = judging.progress(wb, me, of.id)
    return None if progress.looked or st.session_state.get(f"results-{of.id}") else progress


def sending(of: Duel) -> None:
    """How a program fills the duel, ready to copy."""
    body = json.dumps([{"query": "…", "answer_a": "…", "answer_b": "…"}], ensure_ascii=False)
    st.info(_("No items yet. A program sends them; make a token for it under “Your account”."))
    st.code(
        f"curl -H \"Authorization: Bearer $TOKEN\" --json '{body}' "
        f"{wb.settings.public_url}/api/v1/duels/{of.id}/items",
        language="bash",
        wrap_lines=True,
    )
    if st.button(_("Look again"), key="look-again", help=_("Shows what has come in meanwhile.")):
        st.rerun()


# --- the screen ---------------------------------------------------------------

wants_new = may_edit and frame.number_from_url("new") is not None
progress = to_judge(found) if found is not None and not wants_new else None
if progress is None:  # who judges needs the room, and nothing that leads away
    steps.draw(wb, me, theme, "ab")
if found is None or wants_new:
    if may_edit:
        plan()
    else:
        st.info(_("No duel yet. Someone with the role “trainer” can make one."))
elif not found.items:
    about(found)
    sending(found)
elif progress is not None:
    about(found)
    if duel.draw(found, me, progress):
        st.session_state[f"results-{found.id}"] = True
        st.rerun()
else:
    from pages.widgets.duel import results  # its statistics and charts: not for those who only judge

    about(found)
    results.draw(wb, me, found)
