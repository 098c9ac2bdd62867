"""Networks, devices, address bindings over time, and the location of addresses."""
