"""Formats of requests and replies, and RecordIO-protobuf."""
