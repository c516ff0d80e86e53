"""Pure. Parameters: the models of params.yaml, auguments.yaml and optuna_params.yaml, YAML in and out."""

from core.params.auguments import Auguments
from core.params.fields import FormField, form_fields, with_values
from core.params.models import Params
from core.params.saved import save, save_text, saved, saved_text
from core.params.text import check, load_defaults, load_search, parse_yaml, to_yaml
from core.params.tuning import OptunaParams

__all__ = [
    "Auguments",
    "FormField",
    "OptunaParams",
    "Params",
    "check",
    "form_fields",
    "load_defaults",
    "load_search",
    "parse_yaml",
    "save",
    "save_text",
    "saved",
    "saved_text",
    "to_yaml",
    "with_values",
]
