"""The console over a store of the sample captures, which `make console` starts."""
