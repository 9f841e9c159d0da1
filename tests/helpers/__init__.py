"""What tests share: checkpoints, an endpoint that adds up, AWS clients, README's text."""
