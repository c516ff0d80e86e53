"""A theme's data coming in from other tools, and going out to them."""

from __future__ import annotations

import streamlit as st

from core import auth, workbench
from core.i18n import gettext as _
from core.transfer import export
from pages.widgets import frame, importing, steps

theme = frame.theme_from_url(workbench.current())
wb, me = frame.open_page(role=auth.LABELER, title=theme.name, crumbs=[frame.home()])
steps.draw(wb, me, theme, "transfer")

FORMATS = {
    "manifest": (_("List with images"), _("A CSV that names every image. The whole theme: imports elsewhere unchanged.")),
    "parquet": (_("List as Parquet"), _("The same as a Parquet file, for large themes and notebooks.")),
    "folders": (_("Folders"), _("One folder a label, in folders train, valid and test. Most tools read it.")),
    "coco": ("COCO", _("annotations.json with the images. For detection tools.")),
    "labelstudio": ("Label Studio", _("labelstudio.json with the images.")),
    "imagefolder": ("Hugging Face imagefolder", _("For load_dataset(\"imagefolder\").")),
    "snapshot": (_("Snapshot table"), _("One Parquet table of the present state, without the images.")),
}  # fmt: skip

coming, going = st.columns(2, gap="large")
with coming:
    st.subheader(_("Import"), anchor=False)
    st.caption(
        _(
            "Images with their labels from folders, lists, COCO, Label Studio or Hugging Face. You see what would "
            "happen before anything does; the same data twice adds nothing."
        )
    )
    if importing.draw(theme, me, wb.settings):
        st.rerun()
with going:
    st.subheader(_("Export"), anchor=False)
    st.caption(_("The download begins at once, however large the theme is."))
    format = st.radio(
        _("Format"),
        export.FORMATS,
        index=export.FORMATS.index("manifest"),
        format_func=lambda name: FORMATS[name][0],
        captions=[FORMATS[name][1] for name in export.FORMATS],
        key="export-format",
        help=_("What the other tool reads; the list keeps everything."),
    )
    without = format in ("folders", "snapshot")
    images = st.toggle(
        _("With the image files"),
        value=format != "snapshot",
        disabled=without,
        key=f"export-images-{without}-{format == 'snapshot'}",
        help=_("Off: only what is known about them, which is small."),
    )
    st.link_button(
        _("Download"),
        f"/api/theme/{theme.id}/export?format={format}&images={str(images).lower()}",
        type="primary",
        help=_("Your browser saves it where it saves downloads."),
    )
