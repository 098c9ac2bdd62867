"""Pseudonyms: alerts and stored facts of people's own devices without the device.

A device in a network, or of a class, that the configuration names under ``privacy`` is called by a
pseudonym that only the holder of a key can take back. `keys` derives what is needed from the key,
`pseudonyms` names devices, and `sealing` encrypts what the store has to keep of them.
"""
