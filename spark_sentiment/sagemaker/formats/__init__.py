"""What goes over the wire: rows as requests, replies as columns, RecordIO-protobuf."""
