"""Checks of text records. All are pure functions over `core.texts.records.Record`s that return a `Result`."""
