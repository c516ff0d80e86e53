"""The few pages a person sees without the screens: sign-in, first run, not found, MLflow away."""

from __future__ import annotations

from jinja2 import DictLoader, Environment

from core import i18n

_BASE = """<!doctype html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} · Veritrain</title>
<style>
:root { color-scheme: light dark; --bg: #f5f7f9; --card: #fff; --text: #17212b; --soft: #56646f;
  --line: #d5dce2; --accent: #0f766e; --bad: #a3261d; --bad-bg: #fdeceb; }
@media (prefers-color-scheme: dark) { :root { --bg: #10161c; --card: #18212a; --text: #e8eef2; --soft: #9fb0bc;
  --line: #33414c; --accent: #2dd4bf; --bad: #ffb4ac; --bad-bg: #3b1f1d; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--bg);
  color: var(--text); font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK KR", sans-serif; }
main { width: min(420px, 100%); background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 32px; }
.brand { font-weight: 700; letter-spacing: .01em; color: var(--accent); margin: 0 0 4px; }
h1 { font-size: 1.5rem; margin: 0 0 8px; line-height: 1.25; }
p { margin: 0 0 16px; color: var(--soft); }
label { display: block; font-weight: 600; margin: 16px 0 4px; }
input { width: 100%; font: inherit; padding: 10px 12px; border: 1px solid var(--line); border-radius: 8px;
  background: transparent; color: inherit; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button, .button { display: inline-block; width: 100%; margin-top: 24px; padding: 11px 16px; border: 0;
  border-radius: 8px; background: var(--accent); color: var(--card); font: inherit; font-weight: 600;
  text-align: center; text-decoration: none; cursor: pointer; }
small { color: var(--soft); }
.error { background: var(--bad-bg); color: var(--bad); border-radius: 8px; padding: 10px 12px; margin: 16px 0 0; }
nav { margin-top: 24px; display: flex; gap: 16px; font-size: .875rem; }
nav a { color: var(--soft); } nav a[aria-current] { color: var(--text); font-weight: 600; text-decoration: none; }
</style>
</head>
<body><main><div class="brand">Veritrain</div>{% block body %}{% endblock %}
{% if languages %}<nav aria-label="{{ _('Language') }}">{% for code, name in languages.items() %}
<a href="?lang={{ code }}{% if next %}&amp;next={{ next|urlencode }}{% endif %}" lang="{{ code }}"
{% if code == language %}aria-current="true"{% endif %}>{{ name }}</a>{% endfor %}</nav>{% endif %}
</main></body></html>"""

_SIGN_IN = """{% extends "base" %}{% block body %}
<h1>{{ title }}</h1>
<form method="post" action="/api/auth/sign-in">
{% if error %}<div class="error" role="alert">{{ error }}</div>{% endif %}
<input type="hidden" name="next" value="{{ next }}"><input type="hidden" name="lang" value="{{ language }}">
<label for="name">{{ _("Name") }}</label>
<input id="name" name="name" value="{{ name }}" autocomplete="username" required autofocus>
<label for="password">{{ _("Password") }}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">{{ _("Sign in") }}</button>
</form>{% endblock %}"""

_FIRST_RUN = """{% extends "base" %}{% block body %}
<h1>{{ title }}</h1>
<p>{{ _("Choose the name and password of the administrator. You can add more people later.") }}</p>
<form method="post" action="/api/auth/first-run">
{% if error %}<div class="error" role="alert">{{ error }}</div>{% endif %}
<input type="hidden" name="lang" value="{{ language }}">
<label for="name">{{ _("Name") }}</label>
<input id="name" name="name" value="{{ name }}" maxlength="64" autocomplete="username" required autofocus>
<label for="password">{{ _("Password") }}</label>
<input id="password" name="password" type="password" minlength="10" autocomplete="new-password" required>
<small>{{ _("At least 10 characters.") }}</small>
<label for="again">{{ _("Password, once more") }}</label>
<input id="again" name="again" type="password" autocomplete="new-password" required>
{% if token %}<label for="setup_token">{{ _("Setup token") }}</label>
<input id="setup_token" name="setup_token" autocomplete="off" required>
<small>{{ _("It stands in the console where Veritrain was started.") }}</small>{% endif %}
<button type="submit">{{ _("Create the account and start") }}</button>
</form>{% endblock %}"""

_MESSAGE = """{% extends "base" %}{% block body %}
<h1>{{ title }}</h1><p>{{ text }}</p><a class="button" href="/">{{ _("Back to the themes") }}</a>
{% endblock %}"""

_environment = Environment(
    loader=DictLoader({"base": _BASE, "sign-in": _SIGN_IN, "first-run": _FIRST_RUN, "message": _MESSAGE}),
    autoescape=True,
)


def _render(template: str, title: str, **values: object) -> str:
    return _environment.get_template(template).render(
        title=title, language=i18n.language(), _=i18n.gettext, **values
    )


def sign_in(*, next: str = "", name: str = "", error: str = "") -> str:
    return _render(
        "sign-in", i18n.gettext("Sign in"), next=next, name=name, error=error, languages=i18n.LANGUAGES
    )


def first_run(*, token: bool, name: str = "", error: str = "") -> str:
    """`token` asks for the setup token too, as an installation open to a network must."""
    title = i18n.gettext("Welcome to Veritrain")
    return _render("first-run", title, token=token, name=name, error=error, languages=i18n.LANGUAGES)


def not_found(path: str) -> str:
    text = i18n.gettext("There is no page at {path}. It may have moved, or the address has a typing error.")
    return _render("message", i18n.gettext("Page not found"), text=text.format(path=path))


def message(title: str, text: str) -> str:
    return _render("message", title, text=text)
