"""Grafana dashboards as code: the JSON in conf/grafana/dashboards is generated from these modules.

Outside truth: Grafana's dashboard JSON model (schema version 39, Grafana 11) as its provisioning reads it: the plain model, without
a wrapper. Law: nothing in a dashboard names one installation. The data source, the machine and the meter are variables.
"""
