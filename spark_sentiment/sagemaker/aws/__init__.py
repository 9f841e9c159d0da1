"""Calls of AWS: clients, resources with names and tags, endpoints, and polling.

``clients`` creates boto3 clients and classifies their errors; ``resources`` names, tags, lists and
deletes resources; ``hosting`` creates and deletes endpoints with their models and configurations;
``waits`` yields the times of polling.
"""
