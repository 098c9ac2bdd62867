"""netwatch: tells from packets whether a ban on an app was kept."""

__version__ = "0.1.0"
