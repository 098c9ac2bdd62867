"""The versions of the schemas that formats follow."""

ECS = "9.4.0"
"""The Elastic Common Schema, as each document states it."""

OCSF = "1.8.0"
"""The Open Cybersecurity Schema Framework, as each finding states it."""
