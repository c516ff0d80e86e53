"""Model versions, of one theme or of all, and which of them are served."""

from __future__ import annotations

import streamlit as st

from core import auth, registry, serving, themes, workbench
from core.i18n import gettext as _
from core.registry import Version
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
    steps.draw(wb, theme, "models")


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


def one(version: Version, deployed: bool) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"version-{version.id}"):
        with st.container(width="stretch"):
            name = "" if theme else f"{frame.escape(version.theme_name)}, "
            st.markdown("**" + name + _("version {n}").format(n=version.version) + "**")
            st.caption(
                _("{share} right on {n} test images · {when}").format(
                    share=percent(version.metrics["test"]["accuracy"]),
                    n=version.metrics["test"]["n"],
                    when=when(version.created_at),
                )
            )
        frame.link(_("Run {n}").format(n=version.run_id), "run.py", {"run": version.run_id})
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
