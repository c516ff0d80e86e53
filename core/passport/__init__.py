"""The passport of a model version: gathered (stored), then said in words, as a page, on paper or as JSON (pure)."""
