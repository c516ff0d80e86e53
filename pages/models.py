"""Model versions, of one theme or of all: their stages, why they have them, and which are served."""

from __future__ import annotations

import streamlit as st

from core import auth, gate, ledger, production, proof, registry, serving, stages, themes, workbench
from core.errors import VeritrainError
from core.i18n import gettext as _
from core.ledger import ARCHIVED, PRODUCTION, STAGING
from core.registry import Version
from core.settings import MIB
from pages.widgets import deployments, frame, steps
from pages.widgets.runs import percent, when

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


@frame.fragment(run_every=2)
def served() -> None:
    found = serving.deployments(wb, theme_id)
    st.subheader(_("In use"), anchor=False)
    if not found:
        st.caption(_("No model is deployed. Press Deploy beside a version to use it."))
    for deployment in found:
        with st.container(border=True, key=f"deployment-{deployment.id}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{deployments.title(deployment)}**", width="stretch")
                st.markdown(deployments.state(deployment))
                if deployment.status == serving.UP:
                    frame.link(
                        _("Predict"),
                        "predict.py",
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
            deployments.trouble(deployment)


COLORS = {STAGING: "blue", PRODUCTION: "violet", ARCHIVED: "gray"}
NEXT = {STAGING: PRODUCTION, PRODUCTION: ARCHIVED, ARCHIVED: STAGING}
ICONS = {gate.GREEN: ":green[:material/check_circle:]", gate.RED: ":red[:material/cancel:]"}
DECISIONS = 50
"""The newest so many are listed."""


def stage_name(stage: str) -> str:
    return {STAGING: _("staging"), PRODUCTION: _("production"), ARCHIVED: _("archived")}[stage]


def title(version: Version) -> str:
    name = "" if theme else f"{frame.escape(version.theme_name)}, "
    return name + _("version {n}").format(n=version.version)


def why(key: str, label: str, help: str) -> str:
    """A reason that goes to the ledger."""
    return st.text_area(label, max_chars=stages.MAX_REASON, height=70, key=key, help=help)


def written(found: Version, to: str, red: bool) -> None:
    """The reason, an administrator's word where the gate is red, and the press that does it."""
    reason = why("stage-reason", _("Why"), _("It stays in the ledger for ever."))
    override = None
    if red and me.may(auth.ADMIN):
        override = why(
            "stage-override",
            _("Why although the gate is red"),
            _("Only administrators may do this; the red lines stay in the ledger with your reason."),
        )
    if st.button(
        {STAGING: _("Back to staging"), PRODUCTION: _("Promote"), ARCHIVED: _("Archive")}[to],
        type="primary",
        key="yes-stage",
        disabled=red and not me.may(auth.ADMIN),
    ):
        try:
            stages.promote(wb, me, found.id, to, reason, override=override)
        except VeritrainError as error:
            frame.refuse(error)
        else:
            st.rerun()


@frame.dialog(_("Put a version into production"))
def promote(version: Version) -> None:
    st.markdown(f"**{title(version)}**")
    lines = gate.look(wb, version.id)
    for line in lines:
        icon = ICONS.get(line.state, ":gray[:material/help:]")
        st.markdown(f"{icon} {frame.escape(line.text(_))}")
    red = any(line.state == gate.RED for line in lines)
    if red and not me.may(auth.ADMIN):
        st.info(
            _("While a line is red, only an administrator can promote this version, with a written reason.")
        )
    st.caption(
        _("What is in production now is archived. Nothing is deployed or stopped by this.")
        if any("champion" in line.fields for line in lines)
        else _("Nothing is deployed or stopped by this.")
    )
    written(version, PRODUCTION, red)


@frame.dialog(_("Change the stage of a version"))
def move(version: Version) -> None:
    to = NEXT[version.stage]
    st.markdown(
        f"**{title(version)}**: "
        + _("from {before} to {after}").format(before=stage_name(version.stage), after=stage_name(to))
    )
    if to == ARCHIVED:
        st.caption(_("Then nothing of this model is in production. Its model server is not stopped by this."))
    written(version, to, False)


PROVED = {
    proof.SOUND: ":green[:material/check_circle:]",
    proof.BROKEN: ":red[:material/cancel:]",
    proof.UNKNOWN: ":gray[:material/help:]",
}


@frame.dialog(_("Is this version what it was?"))
def verify(version: Version) -> None:
    st.markdown(f"**{title(version)}**")
    try:
        with st.spinner(_("Every file is read and every hash computed anew …")):
            lines = proof.verify(wb, version.id)
    except VeritrainError as error:
        frame.refuse(error)
        return
    for line in lines:
        st.markdown(f"{PROVED[line.state]} {frame.escape(line.text(_))}")
    if version.checksum:
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
    st.caption(
        _("Its server is up: it answers at once.")
        if back.warm
        else _(
            "Its server is not up: it is started now, which takes about half a minute. Until then the version that "
            "leaves goes on answering, if it is deployed."
        )
    )
    reason = why("rollback-reason", _("Why"), _("It stays in the ledger for ever."))
    if st.button(_("Roll back"), type="primary", key="yes-rollback"):
        with frame.refusals():
            production.roll_back(wb, me, version.id, reason)
            st.rerun()


def stage_button(version: Version) -> None:
    if version.stage == PRODUCTION and st.button(
        _("Roll back"),
        key=f"rollback-{version.id}",
        help=_("Puts the version back that was in production before, without a gate."),
    ):
        roll_back(version)
    if version.stage == STAGING:
        if st.button(
            _("Promote"), key=f"promote-{version.id}", help=_("Puts it into production, if the gate lets it.")
        ):
            promote(version)
        return
    text, help = {
        PRODUCTION: (_("Archive"), _("Takes it out of production.")),
        ARCHIVED: (_("Back to staging"), _("From there it can be promoted again, through the gate.")),
    }[version.stage]
    if st.button(text, key=f"move-{version.id}", help=help):
        move(version)


def decisions(found: list[Version]) -> None:
    """Who gave which version its stage, when and why, the newest first."""
    known = {version.id: version for version in found}
    entries = [entry for entry in reversed(ledger.entries(wb)) if entry.version_id in known]
    if not entries:
        return
    with st.expander(_("Decisions"), key="decisions"):
        for entry in entries[:DECISIONS]:
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


def one(version: Version, deployed: bool) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"version-{version.id}"):
        with st.container(width="stretch"):
            st.markdown(f"**{title(version)}** :{COLORS[version.stage]}-badge[{stage_name(version.stage)}]")
            st.caption(
                _("{share} right on {n} test images · {when}").format(
                    share=percent(version.metrics["test"]["accuracy"]),
                    n=version.metrics["test"]["n"],
                    when=when(version.created_at),
                )
            )
        frame.link(_("Run {n}").format(n=version.run_id), "run.py", {"run": version.run_id})
        frame.link(_("Passport"), "passport.py", {"version": version.id})
        if st.button(
            "",
            icon=":material/verified_user:",
            key=f"verify-{version.id}",
            help=_("Checks that its decisions, its data and its files are those that were written."),
        ):
            verify(version)
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


versions = registry.versions(wb, theme_id)
if not versions:
    st.info(_("There is no model yet. A training that ends well registers one."))
    if theme:
        frame.link(_("Go to training"), "training.py", {"theme": theme.id})
else:
    served()
    st.subheader(_("Versions"), anchor=False)
    in_use = {deployment.version.id for deployment in serving.deployments(wb, theme_id)}
    for version in versions:
        one(version, version.id in in_use)
    decisions(versions)
