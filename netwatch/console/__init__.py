"""The web console: what a store knows, for people who would rather look than read.

Everything is rendered on the server and works without script. Who may see which page stands in one
table, `netwatch.console.routes`, whose head says how a page is added. This package needs the extra
``web`` (Starlette, uvicorn, Jinja2, argon2-cffi), and for OpenID Connect the extra ``oidc``, which
its modules import only when they are used.
"""
