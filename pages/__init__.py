"""The screens: one thin file each; ask core, draw, call core."""
