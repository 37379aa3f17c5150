"""The controller: reads a playbook, plans, drives the hosts, and computes the verdict."""

__version__ = "0.1.0"
