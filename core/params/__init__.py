"""Pure. Parameters: the models of params.yaml, auguments.yaml, optuna_params.yaml and gate.yaml, YAML in and out,
their history.
"""

from core.params.architectures import ARCHITECTURES
from core.params.auguments import Auguments
from core.params.changes import Change, changes, label, merged, shown
from core.params.fields import FormField, form_fields, value_at, with_value, with_values
from core.params.history import PAGE, Version, history
from core.params.models import Params
from core.params.presets import Preset, presets
from core.params.promotion import GatePolicy
from core.params.saved import (
    BY_HAND,
    ChangedMeanwhile,
    Files,
    files,
    files_at,
    restore,
    save,
    save_texts,
    saved,
    saved_text,
)
from core.params.text import (
    FILES,
    GATE,
    PARAMETERS,
    Family,
    check,
    json_schema,
    load_defaults,
    load_search,
    parse_yaml,
    shipped,
    to_yaml,
)
from core.params.together import check_together, network_side
from core.params.tuning import OptunaParams

__all__ = [
    "ARCHITECTURES",
    "BY_HAND",
    "FILES",
    "GATE",
    "PAGE",
    "PARAMETERS",
    "Auguments",
    "Change",
    "ChangedMeanwhile",
    "Family",
    "Files",
    "FormField",
    "GatePolicy",
    "OptunaParams",
    "Params",
    "Preset",
    "Version",
    "changes",
    "check",
    "check_together",
    "files",
    "files_at",
    "form_fields",
    "history",
    "json_schema",
    "label",
    "load_defaults",
    "load_search",
    "merged",
    "network_side",
    "parse_yaml",
    "presets",
    "restore",
    "save",
    "save_texts",
    "saved",
    "saved_text",
    "shipped",
    "shown",
    "to_yaml",
    "value_at",
    "with_value",
    "with_values",
]
