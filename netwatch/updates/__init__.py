"""Sets: signatures and bans of one version, signed, installed without a release of netwatch.

A set is published with The Update Framework (theupdateframework.io, by python-tuf, the extra
``netwatch-bans[updates]``) and verified against a root that the operator was given. The modules by
what they do:

- `set_format`: the manifest and the archive of a set, and what bounds them;
- `store`: the folder with the installed sets, where one replaces another in a single step;
- `client`: a set from a URL, a folder or an archive, verified;
- `update`: whether a set is good enough to judge by or to be published, and all of these together;
- `repository`: the other side, which makes and signs a set;
- `options`: ``updates:`` of netwatch.yaml.

Only `client` and `repository` import python-tuf, so that installations without updates need
no extra.
"""
