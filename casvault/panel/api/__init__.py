"""The JSON API of the panel, under /api/v1: what a page can do, a script can.

Every endpoint is declared once, with what it takes and what it answers; requests are checked by that, and the OpenAPI
document is made of it.
"""
