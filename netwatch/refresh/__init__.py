"""Refreshes the inventory from registers of devices: NetBox, a directory, a spreadsheet.

- `options`: ``sources`` of ``devices`` in netwatch.yaml;
- `netbox`: a register read over the NetBox REST API;
- `run`: the devices of all sources, and the file, or folder of dated files, that is replaced in one
  step.

The data are parsed by pure modules of `netwatch.inventory`.
"""
