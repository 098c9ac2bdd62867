"""The shipped signatures of apps and packs of bans, as data of the package."""
