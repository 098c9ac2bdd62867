"""The pictures of the console in the documentation, made of the sample captures."""
