"""The pages of the console, one module each; `netwatch.console.routes` lists them."""
