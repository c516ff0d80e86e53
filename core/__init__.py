"""The library behind every screen, route and job: nouns of the field, no Streamlit, torch or HTTP server.

Modules are of two kinds. *Pure* ones (settings, errors, files, events, params, the
checks and the statistics) may be imported by jobs; *stored* ones speak SQL through
`core.db` and are imported by pages and api only. Import contracts check it.
"""
