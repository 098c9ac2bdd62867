"""Refreshes the inventory from where devices are registered: NetBox, a directory, a spreadsheet.

- `options`: ``sources`` of ``devices`` in netwatch.yaml;
- `netbox`: a register over the REST API of NetBox;
- `run`: the devices of all sources, and the file, or folder of dated files, that is replaced in one
  step.

What a register says is read by pure modules of `netwatch.inventory`.
"""
