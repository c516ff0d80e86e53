"""Model versions, of one theme or of all: their stages, why they have them, and which are served."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core import (
    aliases,
    auth,
    evidence,
    ledger,
    model_benchmarks,
    model_servers,
    production,
    registry,
    serving,
    themes,
    version_lists,
    workbench,
)
from core.evaluations import compared
from core.i18n import gettext as _
from core.i18n import ngettext
from core.ledger import ARCHIVED, PRODUCTION, STAGING
from core.model_benchmarks import Benchmark
from core.passport.names import stage as stage_name
from core.registry import Version
from core.settings import MIB
from core.version_lists import Page
from pages.widgets import (
    alert_rules,
    deployments,
    frame,
    outside,
    promotion,
    proved,
    steps,
    version_filter,
    version_windows,
    versions,
)
from pages.widgets.runs import when

theme: themes.Theme | None = None
if "theme" in st.query_params:
    theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(
    title=_("Models"),
    crumbs=frame.of_theme(theme) if theme else [frame.home()],
    help=_("Every finished training registers a version. Deploying one starts a model server for it."),
)
theme_id = theme.id if theme else None
may_deploy = me.may(auth.TRAINER)
if theme:
    steps.draw(wb, me, theme, "models")
    with st.container(horizontal=True, vertical_alignment="center", key="models-head"):
        frame.link(_("Promotion rules"), "rules.py", {"theme": theme.id})
        outside.button(wb, me, theme)


@frame.fragment(run_every=2)
def served() -> None:
    found = deployments.by_stage(serving.deployments(wb, theme_id))
    running = model_servers.of(wb, [deployment.id for deployment in found])
    st.subheader(f"{_('In use')} {alert_rules.badge(wb, theme_id)}", anchor=False)
    if not found:
        st.caption(_("No model is deployed. Press Deploy beside a version to use it."))
    for deployment in found:
        with st.container(border=True, key=f"deployment-{deployment.id}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                stage = versions.badge(deployment.version.stage)
                st.markdown(f"**{deployments.title(deployment)}** {stage}", width="stretch")
                st.markdown(deployments.state(deployment))
                if deployment.status == serving.UP:
                    frame.link(
                        _("Predict"),
                        "predict.py",
                        {"theme": deployment.version.theme_id, "deployment": deployment.id},
                    )
                if may_deploy:
                    servers(deployment)
                frame.link(
                    _("Monitoring"),
                    "monitoring.py",
                    {"theme": deployment.version.theme_id, "deployment": deployment.id},
                )
                if may_deploy and st.button(
                    _("Stop"),
                    key=f"stop-{deployment.id}",
                    help=_("Ends its model server; the version stays."),
                ):
                    with frame.refusals():
                        serving.stop(wb, me, deployment.id)
                        st.rerun()
            if production.stands_in(wb, deployment):
                st.caption(_("It answers in production until the version that is there is ready."))
            deployments.trouble(me, deployment)
            deployments.answering(deployment)
            deployments.servers(running[deployment.id])
            deployments.log(wb, me, deployment)


def servers(deployment: serving.Deployment) -> None:
    with st.popover(
        ngettext("{n} server", "{n} servers", deployment.replicas).format(n=deployment.replicas),
        key=f"servers-{deployment.id}",
    ):
        wanted = st.number_input(
            _("Servers"),
            1,
            serving.MAX_REPLICAS,
            deployment.replicas,
            key=f"replicas-{deployment.id}-{deployment.replicas}",  # another person's change shows
            help=_(
                "Requests are shared among them; where one ends, the others answer. Each holds the model in "
                "memory of its own."
            ),
        )
        if wanted != deployment.replicas:
            with frame.refusals():
                serving.deploy(wb, me, deployment.version.id, wanted)
                st.rerun()


NEXT = {STAGING: PRODUCTION, PRODUCTION: ARCHIVED, ARCHIVED: STAGING}
DECISIONS = 50
"""The newest so many are listed."""
PAGE = 20
TEXT_WIDTH = 520
"""Pixels; where that leaves no room beside it, the buttons come below."""
CHOSEN = "compared-versions"
"""Where the session keeps which versions are marked: {id: theme's id}."""
ROUND = "compared-round"
"""… and how often all were unmarked: a box of another round begins empty."""


def title(version: Version) -> str:
    return versions.title(version, theme=theme is None)


@frame.dialog(_("Change the stage of a version"))
def move(version: Version) -> None:
    to = NEXT[version.stage]
    st.markdown(
        f"**{title(version)}**: "
        + _("from {before} to {after}").format(before=stage_name(version.stage), after=stage_name(to))
    )
    if to == ARCHIVED:
        st.caption(_("Then nothing of this model is in production. Its model server is not stopped by this."))
    promotion.written(wb, me, version, to, False)


@frame.dialog(_("Is this version what it was?"))
def verify(version: Version) -> None:
    st.markdown(f"**{title(version)}**")
    if proved.draw(wb, version) and version.checksum:
        st.caption(
            _("{size} in {n} files; SHA-256 of all of them:").format(
                size=f"{(version.size or 0) / MIB:.1f} MB", n=len(version.files or {})
            )
        )
        st.code(version.checksum, language=None, wrap_lines=True)


@frame.dialog(_("Roll back"))
def roll_back(version: Version) -> None:
    back = production.way_back(wb, version)
    if back is None:
        st.info(
            _(
                "No other version was in production before this one. Archive it, or promote another in its place."
            )
        )
        return
    st.markdown(
        _("**{now}** leaves production, **{before}** comes back.").format(
            now=title(version), before=title(back.version)
        )
    )
    if back.removed is not None:
        st.warning(
            _(
                "**{before}** was taken out of production by a rollback on {when}, because: “{reason}”. "
                "No other version is left to go back to."
            ).format(
                before=title(back.version),
                when=when(back.removed.at),
                reason=frame.escape(frame.shorten(back.removed.reason, 300)),
            )
        )
    st.caption(
        _("Its server is up: it answers at once.")
        if back.warm
        else _(
            "Its server is not up: it is started now, which takes some seconds. Until then the version that "
            "leaves goes on answering, if it is deployed."
        )
    )
    reason = promotion.why("rollback-reason", _("Why"), _("It stays in the ledger for ever."))
    if st.button(_("Roll back"), type="primary", key="yes-rollback"):
        with frame.refusals():
            production.roll_back(wb, me, version.id, reason)
            st.rerun()


def menu(version: Version) -> None:
    """What is done less often with a version."""
    words = {"passport": _("Passport")}
    words |= {"mlflow": _("Open in MLflow")} if version.run_id is None else {"run": _("Open its training")}
    words["verify"] = _("Check that it is what it was")
    if may_deploy:
        words |= {"edit": _("Change number, tags, description"), "benchmark": _("Note a benchmark")}
        words |= {
            STAGING: {"move": _("Archive")},
            PRODUCTION: {"move": _("Archive")},
            ARCHIVED: {"delete": _("Delete")},
        }[version.stage]
    chosen = st.menu_button(
        "…", list(words), format_func=words.__getitem__, key=f"more-{version.id}", help=_("More")
    )
    match chosen:
        case "passport":
            frame.go("passport.py", version=version.id)
        case "run":
            frame.go("run.py", run=version.run_id)
        case "mlflow":
            frame.load(f"/mlflow/#/models/{version.model_name}/versions/{version.version}")
        case "verify":
            verify(version)
        case "edit":
            version_windows.edit(wb, me, version)
        case "benchmark":
            version_windows.benchmark(wb, me, version)
        case "move":
            move(version)
        case "delete":
            version_windows.delete(wb, me, version)


def stage_button(version: Version) -> None:
    """The step that a person most likely wants next."""
    if version.stage == PRODUCTION and st.button(
        _("Roll back"),
        key=f"rollback-{version.id}",
        help=_("Puts the version back that was in production before, without a gate."),
    ):
        roll_back(version)
    elif version.stage == STAGING and st.button(
        _("Promote"), key=f"promote-{version.id}", help=_("Puts it into production, if the gate lets it.")
    ):
        promotion.ask(wb, me, version, title(version))
    elif version.stage == ARCHIVED and st.button(
        _("Back to staging"),
        key=f"move-{version.id}",
        help=_("From there it can be promoted again, through the gate."),
    ):
        move(version)


def one(version: Version, benchmarks: list[Benchmark], own_aliases: list[str], deployed: bool) -> None:
    marked: dict[int, int] = st.session_state.setdefault(CHOSEN, {})
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"version-{version.id}"):
        with st.container(horizontal=True, vertical_alignment="center", width=TEXT_WIDTH):
            if st.checkbox(
                _("Compare {version}").format(version=title(version)),
                version.id in marked,
                key=f"mark-{version.id}-{st.session_state.get(ROUND, 0)}",
                label_visibility="collapsed",
            ):
                marked[version.id] = version.theme_id
            else:
                marked.pop(version.id, None)
            with st.container(width="stretch", gap=None):
                versions.heading(version, own_aliases, theme=theme is None)
                versions.facts(version, benchmarks)
        st.space("stretch")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            actions(version, deployed)


def actions(version: Version, deployed: bool) -> None:
    if may_deploy:
        stage_button(version)
    if deployed:
        st.markdown(_(":green-badge[in use]"))
    elif may_deploy and st.button(
        _("Deploy"), key=f"deploy-{version.id}", help=_("Starts a model server for this version.")
    ):
        with frame.refusals():
            serving.deploy(wb, me, version.id)
            st.rerun()
    menu(version)


def comparison() -> None:
    """Where marked versions lead, also those of other pages."""
    marked: dict[int, int] = st.session_state.get(CHOSEN, {})
    if not marked:
        st.caption(_("Mark two versions or more to see them side by side."))
        return
    with st.container(horizontal=True, vertical_alignment="center", key="marked"):
        text = ngettext("{n} version is marked.", "{n} versions are marked.", len(marked))
        st.markdown(text.format(n=len(marked)), width="content")
        if len(marked) > compared.MOST:
            st.markdown(_("At most {n} can be compared.").format(n=compared.MOST), width="content")
        elif len(set(marked.values())) > 1:
            st.markdown(_("Only versions of one theme can be compared."), width="content")
        elif len(marked) >= compared.LEAST and st.button(
            _("Compare"), type="primary", key="compare", help=_("Which is better, why, and is it chance?")
        ):
            frame.go("compare.py", versions=",".join(map(str, sorted(marked))))
        if st.button(_("Unmark all"), key="unmark", type="tertiary"):
            st.session_state[CHOSEN] = {}
            st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
            st.rerun()


def listed() -> None:
    """A page of the versions that are looked for, and the way to the others."""
    asked = version_filter.draw(wb, theme)
    place = {name: frame.number_from_url(name) for name in version_filter.CURSORS}
    if place["before"] is not None and place["after"] is not None:
        place["after"] = None
    page = version_lists.page(wb, asked, limit=PAGE, **place)
    if not page.items and page.total:  # those of the address are gone
        page = version_lists.page(wb, asked, limit=PAGE)
    if not page.items:
        st.caption(_("No version fits what you are looking for."))
        if st.button(_("Show all"), key="show-all"):
            version_filter.clear()
            st.rerun()
        return
    comparison_place = st.container()
    in_use = {deployment.version.id for deployment in serving.deployments(wb, theme_id)}
    scores = model_benchmarks.newest(wb, [version.id for version in page.items])
    known = aliases.of(wb, page.items)
    for version in page.items:
        one(version, scores[version.id], known[version.id], version.id in in_use)
    with comparison_place:
        comparison()
    pager(page)


def pager(page: Page) -> None:
    if page.newer is None and page.older is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="pager"):
        text = _("{first} to {last} of {total} versions").format(
            first=f"{page.before + 1:,}", last=f"{page.before + len(page.items):,}", total=f"{page.total:,}"
        )
        for name, label, to in (("after", _("Newer"), page.newer), ("before", _("Older"), page.older)):
            if st.button(label, key=f"page-{name}", disabled=to is None) and to is not None:
                for cursor in version_filter.CURSORS:
                    st.query_params.pop(cursor, None)
                st.query_params[name] = str(to)
                st.rerun()
        st.caption(text)


def once() -> None:
    """What was in production at a moment that the person chooses."""
    known = {each.id: each.called for each in version_lists.named(wb, theme_id)}
    with st.expander(_("What was in production on …?"), key="once"):
        model_id = next(iter(known))
        if len(known) > 1:
            model_id = st.selectbox(_("Theme"), list(known), format_func=known.__getitem__, key="once-model")
        # Empty stands for now: a moment given as the default would stay that of the first look.
        at = st.datetime_input(
            _("Day and time (UTC), empty for now"),
            None,
            key="once-at",
            help=_("The ledger says it, so nobody can change the answer afterwards."),
        )
        moment = datetime.now(UTC) if at is None else at.replace(tzinfo=UTC)
        found = ledger.production_on(wb, model_id, moment)
        if found is None:
            st.markdown(_("On {when} no version was in production.").format(when=when(moment)))
            return
        version = registry.get(wb, found, deleted=True)
        with st.container(horizontal=True, vertical_alignment="center"):
            text = _("On {when} **{version}** ({number}) was in production.")
            st.markdown(
                text.format(when=when(moment), version=title(version), number=version.semver),
                width="content",
            )
            if version.run_id is not None:
                frame.link(_("Open its training"), "run.py", {"run": version.run_id})
            if version.deleted_at is None:
                frame.link(_("Passport"), "passport.py", {"version": version.id})


def decisions() -> None:
    """Who gave which version its stage, when, why and by what, the newest first."""
    entries = ledger.newest(wb, DECISIONS, theme_id)
    if not entries:
        return
    others = evidence.others(entry.evidence for entry in entries)
    known = registry.by_id(wb, {entry.version_id for entry in entries} | others, deleted=True)
    numbers = {version_id: version.version for version_id, version in known.items()}
    with st.expander(_("Decisions"), key="decisions"):
        for entry in entries:
            said = evidence.sentences(entry.evidence, entry.actor, numbers)
            st.markdown(
                _("{when} · {who} · {version}: {before} → {after}").format(
                    when=when(entry.at),
                    who=frame.escape(entry.actor),
                    version=f"**{title(known[entry.version_id])}**",
                    before=stage_name(entry.from_stage),
                    after=stage_name(entry.to_stage),
                )
                + f"  \n{frame.escape(frame.shorten(entry.reason, 300))}"
            )
            if said:
                st.caption("  \n".join(frame.escape(sentence) for sentence in said))


if registry.newest(wb, theme_id) is None:
    st.info(_("There is no model yet. A training that ends well registers one."))
    if theme:
        frame.link(_("Go to training"), "training.py", {"theme": theme.id})
else:
    served()
    st.subheader(_("Versions"), anchor=False)
    listed()
    once()
    decisions()
