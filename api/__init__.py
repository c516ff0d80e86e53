"""REST routers, one per noun; the same core calls that the pages make."""
