"""The dashboards for Grafana and Kibana, made from two tables of panels.

`grafana` and `kibana` have one row for each panel, in the words of that product: a query in PromQL,
or a field of the ECS records. ``python -m dashboards`` writes the files that users import;
``--check`` only compares them.
"""
