"""Pure. What a pre-flight found, in words."""

from __future__ import annotations

from core.i18n import gettext as _
from core.preflight_lines import BAD, OK, Line

_GIB = 2**30


def text(line: Line) -> str:
    """What was tried and how it went; for what failed, also what to do."""
    fields = line.fields
    if line.name == "memory":
        found = {"need": _size(fields["need"]), "free": _size(fields["free"]), "batch": fields["batch"]}
        if line.state == BAD:
            return _(
                "A batch of {batch} images needs about {need} of memory, but {free} is free. "
                "Set the batch size to {fitting}, or take smaller images."
            ).format(**found, fitting=fields["fitting"])
        return _(
            "A batch of {batch} images needs about {need} of memory; {free} is free (a batch of {fitting} would fit)."
        ).format(**found, fitting=fields["fitting"])
    if line.name == "time":
        return _("The training will take {low} to {high}: {step} s a step.").format(
            low=span(fields["low"]), high=span(fields["high"]), step=f"{fields['step']:.2f}"
        )
    if line.name == "missing":
        return _(
            "“{label}” has no image in {splits}, so it cannot be learnt or not be measured. Label more of it, "
            "then press Split."
        ).format(label=fields["label"], splits=", ".join(fields["splits"]))
    if line.name == "dropped":
        return _(
            "{share} of the images tried cannot be read and would be left out, such as image {image}: {reason}"
        ).format(share=f"{fields['share'] * 100:.1f} %", image=fields["image"], reason=fields["reason"])
    if line.name == "fails":
        return f"{_(fields['message'])} {_(fields['next_step'])}"
    if line.name == "round-trip":
        if line.state == OK:
            return _("The model was packed, loaded again, and gave the same answers.")
        return _(
            "The model was packed and loaded again, but its answers differ by {apart}. This is a fault of "
            "Veritrain or of its libraries; tell your administrator."
        ).format(apart=f"{fields['apart']:.3f}")
    return _("A checkpoint was saved and loaded.")


def span(seconds: float) -> str:
    """A duration, roughly."""
    if seconds < 90:
        return _("{n} s").format(n=max(round(seconds), 1))
    if seconds < 5_400:
        return _("{n} min").format(n=round(seconds / 60))
    return _("{h} h {m:02d} min").format(h=int(seconds // 3_600), m=int(seconds % 3_600 // 60))


def _size(count: float) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / 2**20:.0f} MiB"
