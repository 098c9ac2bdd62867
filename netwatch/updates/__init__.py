"""Sets: signatures and bans of one version, signed, installed without a release of netwatch.

A set is published with The Update Framework (theupdateframework.io, by python-tuf, the extra
``netwatch-bans[updates]``) and verified against a root that the operator was given. The modules:

- `set_format`: the manifest and the archive of a set, and their limits;
- `store`: the folder with the installed sets, in which one atomically replaces another;
- `client`: gets and verifies a set from a URL, a folder or an archive;
- `update`: checks whether a set is good enough to be used or published, and combines the others;
- `repository`: the publisher's side, which makes and signs a set;
- `options`: ``updates:`` of netwatch.yaml.

Only `client` and `repository` import python-tuf, so that installations without updates need
no extra.
"""
