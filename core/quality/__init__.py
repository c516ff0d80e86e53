"""Dataset quality: measures, findings with a fix, and the gate before a training.

Pure: measures, twins, textures, doubts, turned, maps, group_names, kinds, rules, gate, drift, effect, report and the
files of words. Stored: the rest. `texts/` holds the checks of texts, all of them pure.
"""
