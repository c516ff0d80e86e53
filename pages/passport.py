"""The passport of one model version: all that is known of it, and what is not; to read, to keep, to verify."""

from __future__ import annotations

import streamlit as st

from core import auth, registry, themes, workbench
from core.errors import NotFound
from core.i18n import gettext as _
from core.passport import gather, page, words
from core.passport.names import megabytes
from core.registry import Version
from pages.widgets import frame, proved
from pages.widgets.frame import Crumb

FORMATS = ("pdf", "html", "json")


def asked_for() -> Version:
    number = frame.number_from_url("version")
    try:
        if number is None:
            raise NotFound("This address names no model version; choose one under “Models”.")
        return registry.get(workbench.current(), number)
    except NotFound as error:
        frame.missing(error)
        raise


def crumbs(version: Version) -> list[Crumb]:
    """The theme's models, or all where the theme was deleted."""
    try:
        theme = themes.get(workbench.current(), version.theme_id)
    except NotFound:
        return [frame.home(), (_("Models"), "models.py", {})]
    return [*frame.of_theme(theme), (_("Models"), "models.py", {"theme": theme.id})]


version = asked_for()
wb, me = frame.open_page(
    title=_("Passport of version {n}").format(n=version.version),
    crumbs=crumbs(version),
    help=_("All that is known of this version, along the sections of a model card, and what is not known."),
)


@frame.fragment()
def verified() -> None:
    """Every hash computed anew, when somebody asks for it."""
    asked = st.button(
        _("Verify"),
        key="verify",
        icon=":material/verified_user:",
        help=_("Checks that its decisions, its data and its files are those that were written."),
    )
    if asked:
        proved.draw(wb, version)


def files() -> None:
    """The passport as a file, and the version itself."""
    with st.container(horizontal=True, vertical_alignment="center", key="passport-files"):
        for format in FORMATS:
            st.link_button(
                _("Passport as {format}").format(format=format.upper()),
                f"/api/v1/admin/models/{version.id}/passport?format={format}",
            )
        if not me.may(auth.TRAINER):
            return
        if version.files is None:
            st.caption(_("Its files were not hashed when it was registered, so it cannot be downloaded."))
            return
        st.link_button(
            _("Download the model ({size})").format(size=megabytes(version.size or 0)),
            f"/api/v1/admin/models/{version.id}/download",
            type="primary",
            help=_("A zip that predicts without Veritrain: weights, code, configuration and checksums."),
        )


files()
verified()
with st.spinner(_("Everything that is known is put together …")):
    told = words.document(gather.passport(wb, version.id))
st.html(f"<style>{page.CSS}</style><div class='passport'>{page.inside(told)}</div>")
