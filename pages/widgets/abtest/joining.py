"""How answers come into the test: what to do right after the start, ready to copy."""

from __future__ import annotations

import json

import streamlit as st

from core import auth, registry, serving
from core.ab.trials import Trial
from core.i18n import gettext as _
from core.workbench import Workbench
from pages.widgets import frame


def missing(wb: Workbench, trial: Trial) -> list[int]:
    """Ids of the test's versions that are not deployed."""
    deployed = {each.version.id for each in serving.deployments(wb, trial.theme_id)}
    return sorted(set(trial.plan.versions) - deployed)


def deploy(wb: Workbench, me: auth.User, trial: Trial) -> None:
    """Say which versions are not deployed, with the button that does it; nothing where all are."""
    lacking = missing(wb, trial)
    if not lacking:
        return
    versions = registry.by_id(wb, set(lacking))
    st.warning(
        _(
            "Not deployed yet: {all}. Deploy them if answers shall come through Veritrain; where your own program "
            "asks the models and sends the log, that is not needed."
        ).format(all=", ".join(_("version {n}").format(n=versions[each].version) for each in lacking))
    )
    if me.may(auth.TRAINER) and st.button(_("Deploy the missing ones"), key="deploy-missing"):
        with frame.refusals():
            for version_id in lacking:
                serving.deploy(wb, me, version_id)
            st.rerun()


def first_steps(wb: Workbench, me: auth.User, trial: Trial) -> None:
    """The empty state: nothing was answered yet, and this is what to do, in order."""
    st.subheader(_("No answer yet. What to do now:"), anchor=False)
    st.markdown(_("**1.** See that both models can answer."))
    if missing(wb, trial):
        deploy(wb, me, trial)
    else:
        st.caption(_("All versions of this test are deployed."))
    st.markdown(
        _(
            "**2.** Make a token under *Your account*, and put it into the program that your users work with, as TOKEN."
        )
    )
    frame.link(_("Your account"), "account.py")
    st.markdown(_("**3.** Let that program ask through Veritrain, and send the stars that the user gives:"))
    _through(trial)
    st.caption(
        _("This screen fills by itself as soon as the first answer is in. The verdict needs no further step.")
    )
    with st.expander(_("My program asks the models itself")):
        _alone(trial)


def draw(trial: Trial) -> None:
    st.markdown("\n".join(f"- {line}" for line in who(trial)))
    st.markdown(_("Make a token under “Your account”. Then ask through Veritrain, which assigns and logs:"))
    _through(trial)
    st.markdown(_("Or ask the models yourself: get the variant first, log what happened after."))
    _alone(trial)
    st.markdown(_("A tester of your team sees a variant of choice with this; such users are never counted:"))
    base, head = _base(trial)
    chosen = json.dumps({"unit": "tester-1", "force": trial.plan.names[-1]})
    _code(f"curl {head} --json '{chosen}' {base}/assign-variant")


def who(trial: Trial) -> list[str]:
    """Which users take part, in sentences."""
    plan = trial.plan
    coverage = trial.phase.coverage if trial.phase else plan.coverage
    lines = [_("{share} of the users who may take part do.").format(share=f"{coverage * 100:g} %")]
    if plan.holdout:
        lines.append(
            _("{share} of this theme's users are held out of every test.").format(
                share=f"{plan.holdout * 100:g} %"
            )
        )
    if plan.exclusion:
        lines.append(
            _(
                "Only {share} of the users may: those that tests of the group “{group}” leave to this one."
            ).format(share=f"{plan.exclusion.part * 100:g} %", group=frame.escape(plan.exclusion.group))
        )
    return lines


def _through(trial: Trial) -> None:
    base, head = _base(trial)
    rating = json.dumps({"rating": 4})
    _code(
        f"curl {head} -F unit=user-17 -F image=@photo.jpg -F key=answer-1 {base}/answer\n"
        f"curl {head} --json '{rating}' {base}/logs/answer-1/rating"
    )


def _alone(trial: Trial) -> None:
    base, head = _base(trial)
    logged = json.dumps({"unit": "user-17", "rating": 4, "response_time_ms": 120})
    _code(
        f"curl {head} --json '{json.dumps({'unit': 'user-17'})}' {base}/assign-variant\n"
        f"curl {head} --json '{logged}' {base}/logs"
    )


def _base(trial: Trial) -> tuple[str, str]:
    from core.workbench import current

    url = current().settings.public_url
    return f"{url}/api/v1/admin/ab-tests/{trial.id}", '-H "Authorization: Bearer $TOKEN"'


def _code(text: str) -> None:
    st.code(text, language="bash", wrap_lines=True)
